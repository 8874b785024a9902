"""Tuning: trials on Ray Tune, from the first suggestion to the confirmed best.

- `launch`: starts or resumes a search.
- `tuner`: runs Ray Tune; `confirm`: trains the best configurations again.
- `searcher`: asks Optuna for configurations; `trial`: trains one, the only bridge from Ray to core.
- `recorder`, `live_table`, `tensorboard`: callbacks that record and show trials.
- `limits`: hours, GPU-hours, patience.
- `replay`: brings a scheduler to where an earlier part of the search left it.
"""

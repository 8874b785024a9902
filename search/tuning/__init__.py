"""Tuning: the trials of a search on Ray Tune, from the first suggestion to the confirmation.

- `launch`: starts or resumes a search.
- `tuner`: runs Ray Tune; `confirm`: trains the best configurations again.
- `searcher`: asks Optuna for configurations; `trial`: trains one. Only `trial` connects Ray with core.
- `lagged`: makes decisions depend on the numbers of trials alone, not on time.
- `recorder`, `live_table`, `tensorboard`: callbacks that record and show trials.
- `limits`: hours, GPU-hours, patience.
- `replay`: restores the state of the trial scheduler when a search is resumed.
"""

"""Reports and exports of a run.

- `export`: writes the detector of a trial as a bundle.
- `report`: writes the tables and figures of a run.
- `scoring`: scores trials on partitions.
- `evaluate`: metrics of a score file.
- `tables`: the tables of a report; `importance`: importance of hyperparameters, Pareto front.
- `figures`: draws the figures, with the plots of `score_figures` and `search_figures`.
- `layers`: tables and the figure of the layers of a front end.
- `paper`: the tables of the paper.
"""

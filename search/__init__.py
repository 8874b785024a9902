"""The hyperparameter search: search spaces, trials on Ray Tune, suggestions by Optuna, reports and the command line."""

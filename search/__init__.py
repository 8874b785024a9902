"""The hunt: search spaces, Ray Tune trials, Optuna's suggestions, the command line."""

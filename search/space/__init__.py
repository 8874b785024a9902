"""Search spaces: from a YAML file to parameters, conditions and options.

- `reader`: reads a space and reports every mistake with its line; it uses `yaml_file`, `sections` and `ranges`.
- `space`: the space; `parameter`: one hyperparameter and its range; `options`: the sections `corpus` and `search`.
- `configurations`: all configurations of a space, its corners and the baseline.
- `optuna_space`: suggestions and distributions for Optuna.
- `places`: paths of corpus and weights.
- `diff`: the differences between two spaces, and whether a run may be resumed with them.
"""

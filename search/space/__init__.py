"""Search spaces: a YAML file becomes parameters, conditions and options.

- `reader`: reads a YAML file and reports every mistake with its line; `yaml_file`, `sections` and `ranges` help it.
- `space`: the space; `parameter`: one searched parameter; `options`: the sections `corpus` and `search`.
- `configurations`: lists and completes the configurations of a space.
- `optuna_space`: the space as Optuna sees it.
- `diff`: what differs between two spaces.
"""

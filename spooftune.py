"""spooftune from Python: detectors that score recordings and arrays, searches and their runs.

- `load(bundle)` returns a `Detector`. Its `score` returns a `Score`, its `segments` a list of `Segment`.
- `search(space)` returns a `Run`. Its `trials()` are rows of a table.

Importing this module loads neither PyTorch nor Ray. Wrong input raises `InputError`, with a line for every problem.
"""

import sys

try:
    from core.errors import InputError, Unavailable
    from search.api.detector import Detector, Score, Segment, load
    from search.api.run import Run, search
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package not in ("core", "search"):
        raise
    other = list(getattr(sys.modules.get(package), "__path__", []))
    raise ImportError(
        f"spooftune has a package {package}, and Python has loaded another one, from {', '.join(other) or 'a file'}; "
        "rename that one, or import spooftune in a process that does not have its folder in sys.path"
    ) from error

__all__ = ["Detector", "InputError", "Run", "Score", "Segment", "Unavailable", "load", "search"]

if __name__ == "__main__":
    from search.cli.main import main

    sys.exit(main())

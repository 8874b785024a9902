"""spooftune from Python: detectors that score recordings and arrays, searches and their runs.

- `load(bundle)` returns a `Detector`. Its `score` returns a `Score`, its `segments` a list of `Segment`.
- `search(space)` returns a `Run`. Its `trials()` are rows of a table.

Importing this module loads neither PyTorch nor Ray. Wrong input raises `InputError`, with a line for every problem.
"""

from core.errors import InputError, Unavailable
from search.api.detector import Detector, Score, Segment, load
from search.api.run import Run, search

__all__ = ["Detector", "InputError", "Run", "Score", "Segment", "Unavailable", "load", "search"]

if __name__ == "__main__":
    import sys

    from search.cli.main import main

    sys.exit(main())

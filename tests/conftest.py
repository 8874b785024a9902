"""What holds for all tests."""

import os
from pathlib import Path

# Tests run in several processes, and so do the searches that they launch: one thread each. Set before torch is loaded.
os.environ["OMP_NUM_THREADS"] = "1"

LONGEST = (
    "test_resume.py",
    "test_address.py",
    "test_confirmation.py",
    "test_storage.py",
    "test_launch.py",
    "test_validation.py",
    "test_diff.py",
    "test_closed.py",
    "test_pretrain.py",
)
"""Files that launch searches, the longest first."""


def pytest_collection_modifyitems(items):
    """Begins with the longest files: one that began last would leave the other processors without work."""
    position = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: position.get(Path(item.path).name, len(LONGEST)))

"""Verification of files that may have been damaged: runs, bundles, stores and checkpoints, told by what they hold."""

from collections.abc import Iterator
from pathlib import Path

from core.bundle.damage import CONFIG, bundle_problems
from core.checkpoint import damage
from core.integrity.seal import DOCUMENT, YAML, line_problems, sealed_file_problem
from core.stores.verification import MANIFEST, store_problems
from search.runs.eval_looks import LOOKS
from search.runs.trial_folder import CHECKPOINT, TRIALS

STATE = "run.json"


def parts_of(place: Path) -> list[Path]:
    """What can be verified at a place: itself, or the runs and stores of a storage; empty: nothing is known there."""
    if place.is_file() or any((place / name).is_file() for name in (MANIFEST, CONFIG, STATE)):
        return [place]
    patterns = (f"runs/*/{STATE}", f"stores/*/{MANIFEST}")
    return sorted(path.parent for pattern in patterns for path in place.glob(pattern))


def problems_of(place: Path) -> list[str]:
    """The damaged and missing files of a run, a bundle, a store or a checkpoint, one line each.

    Args:
        place: One of `parts_of`.
    """
    if place.is_file():
        return list(_checkpoints([place]))
    if (place / MANIFEST).is_file():
        return store_problems(place)
    if (place / CONFIG).is_file():
        return bundle_problems(place)
    return run_problems(place)


def run_problems(path: Path) -> list[str]:
    """The damaged files of a run: its state, spaces, journals, checkpoints, looks at eval and bundles."""
    problems: list[str] = []
    for folder in (path, path / "confirmation"):
        if not folder.is_dir():
            continue
        state = sealed_file_problem(folder / STATE, DOCUMENT)
        problems += [state] if state is not None else []
        for name in (TRIALS, LOOKS):
            problems += line_problems(folder / name) if (folder / name).exists() else []
        problems += _checkpoints(sorted(folder.glob(f"tune*/*/checkpoint_*/{CHECKPOINT}")))
    for file in sorted(path.glob("*.yaml")):
        space = sealed_file_problem(file, YAML)
        problems += [space] if space is not None else []
    for config in sorted(path.glob(f"*/{CONFIG}")):
        problems += bundle_problems(config.parent)
    return problems


def _checkpoints(files: list[Path]) -> Iterator[str]:
    for file in files:
        problem = damage(file)
        if problem is not None:
            yield f"{file}: {problem}"

"""Packages that hold pretrained weights. A file of theirs is looked for; they are never imported."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """A package with a file of weights.

    Attributes:
        name: Name with which it is imported.
        file: Path of the file below the package's folder.
        requirement: Name and version with which it is installed.
    """

    name: str
    file: str
    requirement: str

    @property
    def installation(self) -> str:
        """The command that installs it, without what only its code needs."""
        return f'pip install --no-deps "{self.requirement}"'

    def installed(self) -> Path | None:
        """Path of the file; None if it is not there."""
        spec = importlib.util.find_spec(self.name)
        folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
        return next((folder / self.file for folder in folders if (folder / self.file).is_file()), None)


DISTILLMOS = Package("distillmos", "weights/distill_mos_v7.pt", "distillmos==0.9.*")
RESEMBLYZER = Package("resemblyzer", "pretrained.pt", "Resemblyzer==0.1.*")

"""Spaces that come with spooftune, which are named without a path: `quickstart`, `paper/table2`."""

from pathlib import Path

SPACES = Path(__file__).resolve().parent.parent / "spaces"
"""Folder of the spaces. In a checkout it is a link to `spaces/`; the wheel has the files."""

QUICKSTART = "quickstart"
"""Space whose corpus spooftune can make."""


def shipped_spaces() -> list[str]:
    """Names of the spaces, sorted."""
    return sorted(path.relative_to(SPACES).with_suffix("").as_posix() for path in SPACES.rglob("*.yaml"))


def is_shipped(path: Path, name: str) -> bool:
    """Whether a path is the name of a space and not a file of the user."""
    return path.as_posix() == name and not path.exists()


def space_file(path: Path) -> Path:
    """The file of a space: the path itself, or the space of this name if there is no such file."""
    own = SPACES / f"{path.as_posix()}.yaml"
    is_name = not path.is_absolute() and ".." not in path.parts and not path.exists()
    return own if is_name and own.is_file() else path

"""Places of a space: the paths of its corpus and of pretrained weights, made absolute when a run is launched."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PLACES = ("checkpoint", "weights", "model")
"""Options of front ends that may name a file or folder with pretrained weights."""


def make_absolute(data: dict[str, Any], folder: Path) -> None:
    """Makes the paths of corpus and weights in a space absolute, so that the run can be used from any folder.

    A relative path is looked for in the current folder, then in `folder`. A path that does not exist stays as it is:
    the checks of the space name it, or it is the name of a model on a hub.

    Args:
        data: The space as plain data, which is changed.
        folder: Folder of the space's file.
    """

    def absolute(text: str) -> str:
        candidates = (Path(text).expanduser(), folder / text)
        return next((str(path.absolute()) for path in candidates if text and path.exists()), text)

    _change(data.get("corpus"), ("path",), absolute)
    experiment = data.get("experiment")
    if isinstance(experiment, dict):
        _change(experiment.get("front_end"), PLACES, absolute)


def is_place(key: str) -> bool:
    """Whether a dotted key of a space names the place of its corpus or of pretrained weights."""
    section, _, last = key.rpartition(".")
    return key == "corpus.path" or (section == "experiment.front_end" and last in PLACES)


def _change(value: object, names: tuple[str, ...], absolute: Callable[[str], str]) -> None:
    """Replaces the strings of the named keys anywhere below a value, also in ranges such as `{choice: [a, b]}`."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in names:
                value[key] = _replaced(item, absolute)
            else:
                _change(item, names, absolute)
    elif isinstance(value, list):
        for item in value:
            _change(item, names, absolute)


def _replaced(value: Any, absolute: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return absolute(value)
    if isinstance(value, list):
        return [_replaced(item, absolute) for item in value]
    if isinstance(value, Mapping):
        paths = ("choice", "value", "prior")
        return {key: _replaced(item, absolute) if key in paths else item for key, item in value.items()}
    return value

"""Versions of the software, read from the installed packages without importing them."""

import platform
from importlib.metadata import PackageNotFoundError, version


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that affect results."""
    known = {"python": platform.python_version()}
    for name in ("spooftune", "torch", "torchaudio", "transformers", "numpy", "ray", "optuna"):
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known

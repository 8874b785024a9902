"""Damage of a bundle: its files compared with the checksums in its config.json. No weights are loaded."""

import json
from pathlib import Path

from core.integrity.seal import DOCUMENT, sealed_file_problem
from core.stores.verification import digest_problem

CONFIG = "config.json"
FRONT_END = "front_end"


def bundle_problems(folder: Path) -> list[str]:
    """The damaged and missing files of a bundle, one line each.

    Bundles of earlier versions have checksums of the front end's weights only.
    """
    config_problem = sealed_file_problem(folder / CONFIG, DOCUMENT)
    if config_problem is not None:
        return [config_problem]
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        digests = {folder / name: digest for name, digest in config.get("sha256", {}).items()}
        if (folder / FRONT_END).is_dir():
            digests |= {folder / FRONT_END / name: digest for name, digest in config["front_end_weights"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{folder / CONFIG}: damaged: {type(error).__name__}: {error}"]
    return [problem for path, digest in digests.items() if (problem := digest_problem(path, digest))]

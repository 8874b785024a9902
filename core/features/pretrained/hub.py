"""Folders of pretrained models: those of the Hugging Face hub are downloaded first. Code in them is never run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import InputError

CONFIGURATION = ("config.json", "preprocessor_config.json")
SAFETENSORS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")


def model_folder(row: str, model: str, revision: str | None, *, others: Sequence[str] = ()) -> Path:
    """Folder of a model: a local one, or the local copy of a model of the hub, which is downloaded if missing.

    Args:
        row: Row of FRONT_ENDS, for messages.
        model: Name of a model on the hub, or a local folder.
        revision: Branch, tag or commit on the hub; None: the default branch.
        others: Names of files with weights in another format, which are downloaded if the library's are missing.

    Raises:
        InputError: The model is neither a folder nor on the hub, or a revision of a folder is asked for.
    """
    folder = Path(model).expanduser()
    if not (model and folder.is_dir()):
        return _downloaded(row, model, revision, others)
    if revision is not None:
        raise InputError(f"front_end: {row}: {model} is a local folder; `revision` is for models of the hub")
    return folder


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's weights: safetensors, or else PyTorch's pickles; empty if it has none."""
    return matching(folder, SAFETENSORS) or matching(folder, PICKLES)


def _downloaded(row: str, model: str, revision: str | None, others: Sequence[str]) -> Path:
    """Folder of the local copy of a hub's model, downloaded if missing: safetensors, PyTorch's files, or others."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        for weights in filter(None, (SAFETENSORS, PICKLES, others)):
            folder = Path(snapshot_download(model, revision=revision, allow_patterns=[*CONFIGURATION, *weights]))
            if matching(folder, weights):
                break
    except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
        where = model if revision is None else f"{model} at revision {revision}"
        raise InputError(
            f"front_end: {row}: {where} is not a local folder, and the Hugging Face hub did not supply it "
            f"({first_line(error)}); check the name and the connection, or give `model` a folder with a copy of it"
        ) from error
    return folder


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the library's progress bar and its report of missing tensors, which become an InputError here."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    verbosity, progress = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if progress:
            logging.enable_progress_bar()


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files of a folder whose names match one of the patterns, sorted by path."""
    return sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())


def first_line(error: Exception) -> str:
    """The first line of an error's message, or the name of its class."""
    return str(error).strip().split("\n")[0] or type(error).__name__

"""`spooftune pretrain`: trains wav2vec on unlabelled speech, as a YAML file describes, and writes its weights."""

import dataclasses
import json
import os
import signal
import threading
import time
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import torch
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from core import checkpoint, table
from core.atomic import replacing
from core.corpora.layouts import CORPORA
from core.errors import InputError, Problem, Unavailable
from core.features.wav2vec import save
from core.pretraining import pretrain
from core.pretraining.pretrain import Pretraining
from core.table import Block, did_you_mean
from search.space.yaml_file import YamlFile, read

SECTIONS = ("speech", "corpus", "output", "pretraining")
AUDIO = (".flac", ".wav", ".ogg")
CHECKPOINT, NETWORK, PLAN = "checkpoint.pt", "wav2vec.safetensors", "pretraining.json"


@dataclass(frozen=True)
class PretrainingPlan:
    """A pretraining, as its YAML file describes it.

    Attributes:
        files: Recordings, in an order that is the same in every call.
        output: Folder for the results.
        options: Network, loss and training.
    """

    files: tuple[Path, ...]
    output: Path
    options: Pretraining


def read_pretraining(path: Path, changes: Sequence[str] = ()) -> PretrainingPlan:
    """The pretraining that a YAML file describes.

    Args:
        path: The YAML file.
        changes: Changes from the command line, `key.path=value`, which override the file.

    Returns:
        The pretraining; all recordings have been listed, and none has been opened.

    Raises:
        InputError: The file cannot be read, or something in it is wrong. Every problem is listed with its line.
    """
    yaml_file = read(path, list(changes))
    problems: list[str] = []
    for key in yaml_file.data:
        if key not in SECTIONS:
            text = f"no section {key!r}; there are {', '.join(SECTIONS)}{did_you_mean(key, SECTIONS)}"
            problems.append(yaml_file.problem((key,), text))
    output = yaml_file.data.get("output")
    if not isinstance(output, str):
        problems.append(yaml_file.problem(("output",), f"output is {output!r}; it must be a folder"))
    options, option_problems = _options(yaml_file)
    problems += option_problems
    files: tuple[Path, ...] = ()
    try:
        files = _files(yaml_file)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    assert options is not None
    return PretrainingPlan(files, Path(str(output)), options)


def run_pretraining(plan: PretrainingPlan, console: Console) -> Path:
    """Trains the network, or resumes an interrupted training of it, and writes the weights of the best epoch.

    The output folder receives a checkpoint after every epoch, TensorBoard files and, at the end, the weights. SIGTERM
    and Ctrl-C lose only the epoch that is running. A call after the end of the training writes the same weights again.

    Args:
        plan: The pretraining.
        console: Where progress is printed, one line per epoch.

    Returns:
        The file of the weights, which the front end `wav2vec` reads.

    Raises:
        InputError: The output folder contains other files, or a pretraining with other options or recordings.
        Unavailable: Another process is training in the output folder.
        KeyboardInterrupt: The user stopped the training.
    """
    wanted = {"options": dataclasses.asdict(plan.options), "files": [str(path.resolve()) for path in plan.files]}
    _claim(plan.output, wanted)
    lock = filelock.FileLock(plan.output / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise Unavailable(f"{plan.output}: another process is training in this folder") from error
    with lock:
        stopped = threading.Event()

        def stop(number: int, frame: Any) -> None:
            stopped.set()
            os.kill(os.getpid(), signal.SIGINT)

        signal.signal(signal.SIGTERM, stop)
        saved = plan.output / CHECKPOINT
        resume = checkpoint.load(saved) if saved.exists() else None
        if resume is not None:
            console.print(f"resuming after epoch {resume['epoch']} of {plan.options.epochs}", highlight=False)
        last_epoch = int(resume["epoch"]) if resume else 0
        writer: Any = SummaryWriter(str(plan.output / "tensorboard"), purge_step=last_epoch + 1)
        started = time.monotonic()

        def report(metrics: dict[str, float], state: dict[str, Any]) -> None:
            checkpoint.save(saved, state)
            for name, value in metrics.items():
                if name not in ("epoch", "seconds"):
                    writer.add_scalar(f"pretraining/{name}", value, int(metrics["epoch"]))
            writer.flush()
            done = int(metrics["epoch"])
            left = (time.monotonic() - started) / (done - last_epoch) * (plan.options.epochs - done)
            console.print(
                f"epoch {done}/{plan.options.epochs}: held-out loss {metrics['held_out_loss']:.4f}, InfoNCE "
                f"{metrics['held_out_info_nce']:.4f}, accuracy {100 * metrics['held_out_accuracy']:.1f} %, "
                f"{metrics['seconds'] / 60:.1f} min of speech, {left / 60:.1f} min left",
                highlight=False,
            )
            if stopped.is_set():  # Python drops an interruption that comes while it runs a finaliser
                raise KeyboardInterrupt

        try:
            device = "cuda" if torch.cuda.is_available() else "cpu"
            state = pretrain.pretrain(plan.options, plan.files, report, device=device, resume=resume)
        finally:
            writer.close()
        best = state["best"]
        save(pretrain.best_network(state), plan.output / NETWORK)
        loss = best["metrics"]["held_out_loss"]
        console.print(f"best epoch {best['epoch']}: held-out loss {loss:.4f}", highlight=False)
    return plan.output / NETWORK


def _claim(folder: Path, wanted: Mapping[str, Any]) -> None:
    """Makes an empty output folder that of this pretraining, or checks that it already is.

    Raises:
        InputError: The folder cannot be used, contains other files, or belongs to another pretraining.
    """
    path = folder / PLAN
    try:
        if not path.exists():
            if folder.exists() and any(folder.iterdir()):
                raise InputError(f"output: {folder} is not empty, and nothing in it was changed; choose another folder")
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        written = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"output: {folder} cannot be used: {error}") from error
    if written != wanted:
        old, new = written.get("options", {}), wanted["options"]
        changed = [f"{k} was {old.get(k)!r} and is {new[k]!r}" for k in new if old.get(k) != new[k]]
        changed += ["the recordings are different"] if written.get("files") != wanted["files"] else []
        raise InputError(
            f"output: {folder} contains a different pretraining: {'; '.join(changed)}; choose another folder"
        )


def _options(yaml_file: YamlFile) -> tuple[Pretraining | None, list[str]]:
    section = yaml_file.data.get("pretraining", {})
    problems = table.mapping_problems("pretraining", section, typing.get_type_hints(Pretraining))
    if not problems:
        try:
            return Pretraining(**section), []
        except InputError as error:
            problems = [Problem(problem.path, f"pretraining: {problem.text}") for problem in error.located]
    return None, [yaml_file.problem(("pretraining", *problem.path), problem.text) for problem in problems]


def _files(yaml_file: YamlFile) -> tuple[Path, ...]:
    speech, corpus = yaml_file.data.get("speech"), yaml_file.data.get("corpus")
    if corpus is not None:  # the section `corpus` is used instead of `speech`
        if not isinstance(corpus, dict) or not isinstance(corpus.get("path"), str):
            raise InputError(yaml_file.problem(("corpus",), f"corpus is {corpus!r}; it needs layout and path"))
        block = Block(str(corpus.get("layout")), {k: v for k, v in corpus.items() if k not in ("layout", "path")})
        try:
            opened = table.build("corpus.layout", CORPORA, block, Path(corpus["path"]))
        except InputError as error:
            raise InputError([yaml_file.problem(("corpus",), problem) for problem in error.problems]) from error
        return tuple(utterance.path for utterance in opened.partition("train") if utterance.label == 1)
    if not isinstance(speech, str):
        raise InputError(
            yaml_file.problem(("speech",), f"speech is {speech!r}; it must be a folder (or give a corpus)")
        )
    folder = Path(speech)
    if not folder.is_dir():
        raise InputError(yaml_file.problem(("speech",), f"speech: {folder} is not a folder"))
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO and path.is_file())
    if not files:
        raise InputError(yaml_file.problem(("speech",), f"speech: no {', '.join(AUDIO)} file below {folder}"))
    return tuple(files)

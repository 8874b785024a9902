"""`spooftune pretrain`: wav2vec on speech without labels, from a YAML to the file that the front end reads."""

import dataclasses
import json
import os
import signal
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
from search.space.yaml_file import Tree, read

SECTIONS = ("speech", "corpus", "output", "pretraining")
AUDIO = (".flac", ".wav", ".ogg")
CHECKPOINT, NETWORK, PLAN = "checkpoint.pt", "wav2vec.safetensors", "pretraining.json"


@dataclass(frozen=True)
class PretrainingPlan:
    """What a YAML asks for.

    Attributes:
        files: Recordings, in a lasting order.
        output: Folder of the results.
        options: How to train.
    """

    files: tuple[Path, ...]
    output: Path
    options: Pretraining


def read_pretraining(path: Path, changes: Sequence[str] = ()) -> PretrainingPlan:
    """The plan of a YAML, with `key.path=value` changes laid over it.

    Raises:
        InputError: everything that is wrong, each with its line.
    """
    tree = read(path, list(changes))
    wrong: list[str] = []
    for key in tree.data:
        if key not in SECTIONS:
            what = f"no section {key!r}; there are {', '.join(SECTIONS)}{did_you_mean(key, SECTIONS)}"
            wrong.append(tree.problem((key,), what))
    output = tree.data.get("output")
    if not isinstance(output, str):
        wrong.append(tree.problem(("output",), f"output is {output!r}; it must be a folder"))
    options, problems = _options(tree)
    wrong += problems
    files: tuple[Path, ...] = ()
    try:
        files = _files(tree)
    except InputError as error:
        wrong += error.problems
    if wrong:
        raise InputError(wrong)
    assert options is not None
    return PretrainingPlan(files, Path(str(output)), options)


def run_pretraining(plan: PretrainingPlan, console: Console) -> Path:
    """Trains, or goes on where an earlier call stopped, and writes the network; returns its file.

    The output folder gets a checkpoint after every epoch, TensorBoard files, and at the end the network of the best
    epoch. SIGTERM and Ctrl-C lose the epoch that is running and no more.

    Raises:
        InputError: the folder holds something else, or a pretraining with other options or speech.
        Unavailable: another process is training there.
        KeyboardInterrupt: the user stopped it.
    """
    wanted = {"options": dataclasses.asdict(plan.options), "files": [str(path.resolve()) for path in plan.files]}
    _claim(plan.output, wanted)
    lock = filelock.FileLock(plan.output / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise Unavailable(f"{plan.output}: another process is training there") from error
    with lock:
        signal.signal(signal.SIGTERM, lambda number, frame: os.kill(os.getpid(), signal.SIGINT))
        saved = plan.output / CHECKPOINT
        resume = checkpoint.load(saved) if saved.exists() else None
        if resume is not None:
            console.print(f"goes on after epoch {resume['epoch']} of {plan.options.epochs}", highlight=False)
        before = int(resume["epoch"]) if resume else 0
        writer: Any = SummaryWriter(str(plan.output / "tensorboard"), purge_step=before + 1)
        began = time.monotonic()

        def report(metrics: dict[str, float], state: dict[str, Any]) -> None:
            checkpoint.save(saved, state)
            for name, value in metrics.items():
                if name not in ("epoch", "seconds"):
                    writer.add_scalar(f"pretraining/{name}", value, int(metrics["epoch"]))
            writer.flush()
            done = int(metrics["epoch"])
            left = (time.monotonic() - began) / (done - before) * (plan.options.epochs - done)
            console.print(
                f"epoch {done}/{plan.options.epochs}: held-out loss {metrics['held_out_loss']:.4f}, InfoNCE "
                f"{metrics['held_out_info_nce']:.4f}, accuracy {100 * metrics['held_out_accuracy']:.1f} %, "
                f"{metrics['seconds'] / 60:.1f} min of speech, {left / 60:.1f} min left",
                highlight=False,
            )

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
    """Makes the output folder one of this pretraining, or sees that it is."""
    plan = folder / PLAN
    try:
        if not plan.exists():
            if folder.exists() and any(folder.iterdir()):
                raise InputError(f"output: {folder} is not empty; nothing of it was touched. Choose another folder")
            folder.mkdir(parents=True, exist_ok=True)
            with replacing(plan) as temporary:
                temporary.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        found = json.loads(plan.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"output: {folder} cannot be used: {error}") from error
    if found != wanted:
        old, new = found.get("options", {}), wanted["options"]
        changed = [f"{k} was {old.get(k)!r} and is {new[k]!r}" for k in new if old.get(k) != new[k]]
        changed += ["the recordings are others"] if found.get("files") != wanted["files"] else []
        raise InputError(
            f"output: {folder} holds a pretraining of another kind: {'; '.join(changed)}. Choose another folder"
        )


def _options(tree: Tree) -> tuple[Pretraining | None, list[str]]:
    section = tree.data.get("pretraining", {})
    wrong = table.mapping_problems("pretraining", section, typing.get_type_hints(Pretraining))
    if not wrong:
        try:
            return Pretraining(**section), []
        except InputError as error:
            wrong = [Problem(problem.path, f"pretraining: {problem.text}") for problem in error.located]
    return None, [tree.problem(("pretraining", *problem.path), problem.text) for problem in wrong]


def _files(tree: Tree) -> tuple[Path, ...]:
    speech, corpus = tree.data.get("speech"), tree.data.get("corpus")
    if corpus is not None:  # it stands for the folder that the YAML came with
        if not isinstance(corpus, dict) or not isinstance(corpus.get("path"), str):
            raise InputError(tree.problem(("corpus",), f"corpus is {corpus!r}; it needs layout and path"))
        block = Block(str(corpus.get("layout")), {k: v for k, v in corpus.items() if k not in ("layout", "path")})
        try:
            opened = table.build("corpus.layout", CORPORA, block, Path(corpus["path"]))
        except InputError as error:
            raise InputError([tree.problem(("corpus",), problem) for problem in error.problems]) from error
        return tuple(each.path for each in opened.partition("train") if each.label == 1)
    if not isinstance(speech, str):
        raise InputError(tree.problem(("speech",), f"speech is {speech!r}; it must be a folder (or give a corpus)"))
    folder = Path(speech)
    if not folder.is_dir():
        raise InputError(tree.problem(("speech",), f"speech: {folder} is no folder"))
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO and path.is_file())
    if not found:
        raise InputError(tree.problem(("speech",), f"speech: no {', '.join(AUDIO)} file below {folder}"))
    return tuple(found)

"""Interruptions: SIGTERM ends a command as Ctrl-C does, at every stage, and the command says how to continue."""

import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from core.errors import InputError

if TYPE_CHECKING:
    from search.runs.run import Run

STAGES = {
    "extracting": "while it extracted features",
    "running": "while its trials ran",
    "confirming": "while it trained the best again",
}
"""State of a run -> when it was interrupted."""


def forward_sigterm() -> None:
    """Makes SIGTERM end the command as Ctrl-C does: trials stop, and can be resumed from their last epoch.

    Further SIGTERMs are ignored, so that they do not end the export: `timeout` sends one to its command and one to the
    process group. Only the main thread can do this; in another thread nothing changes.
    """

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.kill(os.getpid(), signal.SIGINT)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


@contextlib.contextmanager
def forwarding_sigterm() -> Iterator[None]:
    """`forward_sigterm` during the block; the former handler is restored."""
    main = threading.current_thread() is threading.main_thread()
    former = signal.getsignal(signal.SIGTERM)
    forward_sigterm()
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, former)


@contextlib.contextmanager
def resumable(run: "Run", option: str) -> Iterator[None]:
    """Turns a Ctrl-C during the block into one that says when the run was interrupted, and how to continue.

    Args:
        run: The run on which the block works.
        option: ` --storage PLACE` for the commands in the message; empty for the storage that commands use by default.

    Raises:
        KeyboardInterrupt: The block was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(_interrupted(run, option)) from error


def _interrupted(run: "Run", option: str) -> str:
    if not (run.path / "run.json").exists():
        shutil.rmtree(run.path, ignore_errors=True)  # It holds nothing yet, and its name is free again.
        return f"run {run.name} was interrupted before its first step; launch it again"
    state = str(run.info()["state"])
    if state in STAGES:
        with contextlib.suppress(InputError):
            run.update(state="interrupted")
        return f"run {run.name} was interrupted {STAGES[state]}; spooftune resume {run.name}{option} continues it"
    hint = f"spooftune export {run.name}{option} exports its best detector"
    if state != "finished":
        hint += f", spooftune resume {run.name}{option} continues it"
    return f"run {run.name} was interrupted after its search, which is recorded; {hint}"

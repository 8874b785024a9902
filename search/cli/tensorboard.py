"""TensorBoard on this machine, for a run here or on a cluster."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

REFRESH = 30.0
"""Seconds between two copies of event files from a cluster."""


def show_folder(folder: Path, *, port: int, refresh: Callable[[], None] | None = None) -> int:
    """Runs TensorBoard on a folder until Ctrl-C. Only this machine can reach it.

    Args:
        folder: Folder of the event files.
        port: TensorBoard port.
        refresh: Called every REFRESH seconds; None = never.

    Returns:
        The exit code of TensorBoard; 0 after Ctrl-C.
    """
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, "--port", str(port)])
    print(f"TensorBoard: http://127.0.0.1:{port}/ (stop with Ctrl-C)", flush=True)
    try:
        while True:
            try:
                return process.wait(timeout=REFRESH if refresh else None)
            except subprocess.TimeoutExpired:
                if refresh:
                    refresh()
    except KeyboardInterrupt:
        return 0
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()

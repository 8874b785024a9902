"""TensorBoard on this machine, for a run that lies here or on a cluster."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from core.errors import InputError
from search.cluster import reached

REFRESH = 30.0
"""Seconds between two looks at a cluster."""


def show_folder(folder: Path, *, port: int, refresh: Callable[[], None] | None = None) -> int:
    """Runs TensorBoard on a folder, on the loopback, until Ctrl-C.

    Args:
        folder: Of event files.
        port: Of the page.
        refresh: Called every REFRESH seconds meanwhile.
    """
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, "--port", str(port)])
    print(f"TensorBoard: http://127.0.0.1:{port}/ (Ctrl-C ends it)", flush=True)
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


def show_cluster(where: str, run: str, storage: str | None, *, port: int) -> int:
    """Copies the event files of a run on a cluster, again and again, and runs TensorBoard on them until Ctrl-C.

    Raises:
        InputError: the cluster is not reached, or knows no such run.
    """
    with reached(where) as cluster, tempfile.TemporaryDirectory(prefix="spooftune-") as folder:
        source = f"{cluster.storage_of(run, storage)}/runs/{run}/tensorboard"
        cluster.fetch(source, Path(folder))

        def refresh() -> None:
            try:
                cluster.fetch(source, Path(folder))
            except InputError as error:  # the cluster may be back at the next look
                print(f"spooftune: {error}", file=sys.stderr)

        return show_folder(Path(folder), port=port, refresh=refresh)

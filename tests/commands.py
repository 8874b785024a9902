"""Commands of spooftune in processes of their own, forked from one that has loaded the libraries.

A process that starts from nothing spends seconds on importing PyTorch, pandas and Optuna. Ray is not loaded in advance:
it reads settings of the environment when it is imported.
"""

import atexit
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "optuna",
    "pandas",
    "pyarrow.dataset",
    "rich.live",
    "scipy.stats",
    "search.cli.main",
    "search.cli.results",
    "search.prepare.stores",
    "search.report.export",
    "search.space.reader",
    "core.training.fit",
    "tensorboard.compat.proto.summary_pb2",
    "torch",
    "torchaudio",
)
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(list(LIBRARIES))


class Command:
    """A running `spooftune` with these arguments.

    Attributes:
        pid: Its process.
    """

    def __init__(self, *arguments: object, own_group: bool = False, **variables: str) -> None:
        """Starts it in the repository's folder.

        Args:
            arguments: The words after `spooftune`.
            own_group: Whether it gets a process group of its own, which `os.killpg` signals.
            variables: Further environment variables.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="spooftune-command-")
        self._files = [Path(self._folder.name) / name for name in ("stdout", "stderr")]
        words, environment = [*map(str, arguments)], {**os.environ, **variables}
        self._process = _SERVER.Process(target=_run, args=(words, environment, own_group, *map(str, self._files)))
        self._process.start()
        self.pid = int(self._process.pid or 0)
        self.arguments = words

    @property
    def stdout(self) -> str:
        """Output until now."""
        return self._files[0].read_text(encoding="utf-8") if self._files[0].exists() else ""

    @property
    def stderr(self) -> str:
        """Messages until now."""
        return self._files[1].read_text(encoding="utf-8") if self._files[1].exists() else ""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def kill(self) -> None:
        """Ends it at once, if it has not ended."""
        self._process.kill()
        self._process.join()

    def wait(self, seconds: float = 400) -> int:
        """Its exit code once it has ended, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: It has not ended within these seconds; it is killed.
        """
        self._process.join(seconds)
        if self._process.exitcode is None:
            self.kill()
            raise TimeoutExpired(self.arguments, seconds, self.stdout, self.stderr)
        return self._process.exitcode


def spooftune(*arguments: object, **variables: str) -> CompletedProcess[str]:
    """Runs a command to its end.

    Args:
        arguments: The words after `spooftune`.
        variables: Further environment variables.
    """
    command = Command(*arguments, **variables)
    code = command.wait()
    return CompletedProcess(command.arguments, code, command.stdout, command.stderr)


def _run(arguments: list[str], environment: Mapping[str, str], own_group: bool, stdout: str, stderr: str) -> None:
    if own_group:
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    for descriptor, path in ((1, stdout), (2, stderr)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    from search.cli.main import main

    code = main(arguments)
    atexit._run_exitfuncs()  # multiprocessing leaves them out, and Ray ends its processes there
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

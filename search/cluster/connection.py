"""How the head of a cluster is reached from outside: the cluster's YAML, its token, a tunnel to its Jobs API."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import yaml

from core.errors import InputError, Unavailable
from search.methods.ray_internals import check_cluster_config

JOBS_PORT = 8265
"""Port of the Jobs API on the head's loopback."""

TUNNEL_SECONDS = 90.0
"""How long ssh may take to reach the head."""


def read_cluster(path: Path) -> Path:
    """The path of a cluster's YAML, which Ray accepts.

    Raises:
        InputError: it cannot be read, or Ray's schema refuses it.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--cluster {path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"--cluster {path}: no YAML: {error}") from error
    if not isinstance(config, dict) or "provider" not in config:
        raise InputError(f"--cluster {path}: is no cluster; it needs cluster_name and provider, see cluster.yaml")
    try:
        check_cluster_config(config)
    except Exception as error:
        raise InputError(f"--cluster {path}: Ray refuses it: {first_line(str(error))}") from error
    return path


def require_token() -> None:
    """Makes this process speak to clusters with a token: must be called before Ray is imported.

    Raises:
        InputError: there is no token.
    """
    os.environ["RAY_AUTH_MODE"] = "token"  # before Ray is imported, which reads it then
    place = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if not os.environ.get("RAY_AUTH_TOKEN") and not place.is_file():
        what = "ray get-auth-token --generate makes one; cluster.yaml gives it to every node"
        raise InputError(f"no token for the cluster: neither RAY_AUTH_TOKEN nor {place} is there; {what}")


@contextlib.contextmanager
def tunnel(config: Path) -> Iterator[str]:
    """The address on this machine's loopback at which a cluster's Jobs API answers through Ray's own ssh."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [ray_program(), "dashboard", "--port", str(port), "--remote-port", str(JOBS_PORT), str(config)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            began = time.monotonic()
            while not _answers(port):
                if process.poll() is not None or time.monotonic() - began > TUNNEL_SECONDS:
                    output.seek(0)
                    hint = f"is it up (ray up -y {config}), and does ssh reach its head?"
                    why = last_line(output.read())
                    raise Unavailable(f"--cluster {config}: its head is not reached: {why}; {hint}")
                time.sleep(0.3)
            yield f"http://127.0.0.1:{port}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/version", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True  # it is there, and asks for the token
    except OSError:
        return False


def ray_program() -> str:
    """Path of the program `ray` of this environment."""
    return str(Path(sys.executable).with_name("ray"))


def first_line(text: str) -> str:
    """The first line that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")

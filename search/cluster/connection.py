"""Access to a cluster's head from another machine: the cluster's YAML, its token, a tunnel to its Jobs API."""

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
"""Port of the Jobs API on the loopback interface of the head."""

TUNNEL_SECONDS = 90.0
"""Time that ssh may take to reach the head."""


def read_cluster(path: Path) -> Path:
    """The path of a cluster's YAML, after Ray has accepted the file.

    Raises:
        InputError: The file cannot be read, or does not match Ray's schema.
    """
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--cluster {path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"--cluster {path}: not valid YAML: {error}") from error
    if not isinstance(config, dict) or "provider" not in config:
        raise InputError(
            f"--cluster {path}: not a cluster file; it needs cluster_name and provider, as in cluster.yaml"
        )
    try:
        check_cluster_config(config)
    except Exception as error:
        raise InputError(f"--cluster {path}: Ray refuses it: {first_line(str(error))}") from error
    return path


def require_token() -> None:
    """Makes this process use a token with clusters. It must be called before Ray is imported.

    Raises:
        InputError: The token is missing.
    """
    os.environ["RAY_AUTH_MODE"] = "token"  # Ray reads the variable once, at its import.
    token_file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", "~/.ray/auth_token")).expanduser()
    if not os.environ.get("RAY_AUTH_TOKEN") and not token_file.is_file():
        hint = "ray get-auth-token --generate creates one; cluster.yaml copies it to every node"
        raise InputError(f"no token for the cluster: neither RAY_AUTH_TOKEN nor {token_file} exists; {hint}")


@contextlib.contextmanager
def tunnel(config: Path) -> Iterator[str]:
    """Opens a tunnel to a cluster's Jobs API through Ray's own ssh; yields its address on this machine.

    Args:
        config: The cluster's YAML.

    Raises:
        Unavailable: The head is not reached within TUNNEL_SECONDS.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [ray_program(), "dashboard", "--port", str(port), "--remote-port", str(JOBS_PORT), str(config)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            started = time.monotonic()
            while not _answers(port):
                if process.poll() is not None or time.monotonic() - started > TUNNEL_SECONDS:
                    output.seek(0)
                    hint = f"is the cluster up (ray up -y {config}), and does ssh reach its head?"
                    reason = last_line(output.read())
                    raise Unavailable(f"--cluster {config}: the head cannot be reached: {reason}; {hint}")
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
        return True  # The API is up and asks for the token.
    except OSError:
        return False


def ray_program() -> str:
    """Path of the program `ray` in this Python environment."""
    return str(Path(sys.executable).with_name("ray"))


def first_line(text: str) -> str:
    """The first line that is not blank, or `no reason given`."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")


def last_line(text: str) -> str:
    """The last line that is not blank, or `no reason given`."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no reason given")

"""What a request may take, and who may ask."""

import hmac
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError

MIN_TOKEN = 16
"""Characters of the shortest token."""

USUAL_RATE, USUAL_CHANNELS = 48_000, 8
"""A recording may have as many samples as one of the longest duration with this sample rate and number of channels."""


@dataclass(frozen=True)
class Limits:
    """What a request may take.

    Attributes:
        max_bytes: Bytes of a body.
        max_seconds: Seconds of a recording.
        timeout_s: Seconds for receiving a body, and again for scoring it.
        concurrent: Requests at a time; further ones are refused at once.

    Raises:
        InputError: A limit is not positive.
    """

    max_bytes: int = 64_000_000
    max_seconds: float = 600.0
    timeout_s: float = 60.0
    concurrent: int = 4

    def __post_init__(self) -> None:
        problems = [
            f"{option} must be above 0"
            for option, value in (
                ("--max-mb", self.max_bytes),
                ("--max-seconds", self.max_seconds),
                ("--timeout", self.timeout_s),
                ("--concurrent", self.concurrent),
            )
            if not value > 0
        ]
        if problems:
            raise InputError(problems)

    @property
    def max_values(self) -> int:
        """Samples of a recording over all channels, which bound the memory for decoding it."""
        return int(self.max_seconds * USUAL_RATE * USUAL_CHANNELS)


@dataclass(frozen=True)
class Access:
    """Who may ask for scores.

    Attributes:
        token: Token that a request must have; None: none is asked for.
        hosts: Names by which a request must call the service; None: any. A page of another site can make a browser on
            this machine call the service by a name of that site.
    """

    token: str | None = None
    hosts: frozenset[str] | None = None

    def knows(self, token: str) -> bool:
        """Whether a token is right; the time that this takes does not depend on it."""
        return self.token is None or hmac.compare_digest(self.token.encode(), token.encode())


def access_of(host: str, token_file: Path | None) -> Access:
    """Who may ask a service on a host.

    Args:
        host: Address on which the service listens.
        token_file: File with the token; None: no token.

    Raises:
        InputError: Another machine could reach the service and there is no token, or the token cannot be read.
    """
    token = None if token_file is None else _token(token_file)
    if token is not None:
        return Access(token)
    if not _is_loopback(host):
        raise InputError(f"--host {host}: other machines could ask for scores; --token-file names the token they need")
    return Access(hosts=frozenset({"localhost", "127.0.0.1", "::1", host}))


def _token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--token-file {path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(token) < MIN_TOKEN or not token.isprintable() or " " in token:
        text = f"must hold one token of at least {MIN_TOKEN} printable characters, without blanks"
        raise InputError(f"--token-file {path}: {text}")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

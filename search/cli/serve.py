"""The command serve: a bundle as an HTTP service."""

import contextlib
import importlib.util
import socket
from pathlib import Path
from typing import Annotated

import typer

from core.errors import InputError, Unavailable
from search.cli.score import (
    FractionOfSegments,
    LengthOfSegments,
    LongerThan,
    RuleOfSegments,
    StepOfSegments,
    listening_of,
)
from search.cli.scores import CostOfFalseAlarm, CostOfMiss, costs_of

PACKAGES = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "python_multipart": "python-multipart",
    "swagger_ui_bundle": "swagger-ui-bundle",
}
"""Module that the service needs -> its package."""


def serve(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the exported bundle.")],
    *,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; another machine's needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="Port to listen on; 0: any free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File with the token that requests must have (Authorization: Bearer TOKEN).",
            show_default="no token",
        ),
    ] = None,
    max_mb: Annotated[float, typer.Option("--max-mb", metavar="MB", help="Size of a recording at most.")] = 64,
    max_seconds: Annotated[
        float, typer.Option("--max-seconds", metavar="SECONDS", help="Duration of a recording at most.")
    ] = 600,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", help="Time for receiving a recording, and again for scoring it."),
    ] = 60,
    concurrent: Annotated[
        int, typer.Option("--concurrent", metavar="N", help="Requests at a time; further ones are refused at once.")
    ] = 4,
    rule: RuleOfSegments = "quantile",
    fraction: FractionOfSegments = 0.1,
    longer_than: LongerThan = None,
    window: LengthOfSegments = None,
    step: StepOfSegments = 0.5,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            metavar="FILE",
            help="File or folder with the pretrained weights of the front end; their SHA-256 is checked.",
            show_default="where they were at the export",
        ),
    ] = None,
    p_spoof: Annotated[
        float | None,
        typer.Option(
            "--p-spoof",
            metavar="P",
            help="Decide for this prior probability of spoofed speech.",
            show_default="the threshold of the equal error rate on dev",
        ),
    ] = None,
    cost_miss: CostOfMiss = 1.0,
    cost_false_alarm: CostOfFalseAlarm = 10.0,
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="Compute on cpu or cuda.")] = "cpu",
) -> int:
    """Score recordings over HTTP with an exported bundle.

    POST /score answers with JSON, and the page of the service is at /docs. Ctrl-C or SIGTERM ends it.
    """
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise InputError(
            f"serve needs {', '.join(missing)}: install spooftune with its extra, as in 'spooftune[serve]'"
        )

    from search.service.limits import Limits, access_of

    limits = Limits(int(max_mb * 1e6), max_seconds, timeout, concurrent)
    access = access_of(host, token_file)
    costs = None if p_spoof is None else costs_of(p_spoof, cost_miss, cost_false_alarm)
    listening = listening_of(rule, fraction, longer_than, window, step)
    listener = _listener(host, port)

    from core import bundle as bundles
    from search.service.answers import Answers
    from search.service.app import PAGE, service

    with listener:
        loaded = bundles.load(bundle, weights)
        threshold = loaded.threshold
        if costs:
            if loaded.calibration is None:
                raise InputError(f"{bundle}: has no calibration to log-likelihood ratios; export the trial again")
            threshold = loaded.calibration.threshold(costs)
        scorer = bundles.Scorer(loaded, listening=listening, device=device, weights_at=weights)
        card = bundle / bundles.CARD
        app = service(
            Answers(scorer, threshold=threshold, limits=limits),
            card=card.read_text(encoding="utf-8") if card.exists() else "",
            limits=limits,
            access=access,
        )

        import uvicorn

        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=int(timeout) + 1)
        address = f"[{host}]" if ":" in host else host
        print(f"serving {bundle} at http://{address}:{listener.getsockname()[1]}{PAGE}; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # the server has ended in order, and passes the signal on
            uvicorn.Server(config).run([listener])
        print("the service has ended", flush=True)
    return 0


def _listener(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port in use is told before the bundle is loaded.

    Raises:
        InputError: The address or port cannot be used.
        Unavailable: Another process listens there.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}; it must be from 0 to 65535")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        kind = Unavailable if isinstance(error, PermissionError) or error.errno == 98 else InputError
        raise kind(f"--host {host} --port {port}: cannot listen there: {error.strerror or error}") from error

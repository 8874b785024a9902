"""The routes of the service and its errors, which are JSON: `{"error": "one sentence"}`."""

import asyncio
import re
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from swagger_ui_bundle import swagger_ui_path

from core.errors import InputError
from core.versions import versions
from search.service.answers import Answer, Answers, TooSlow
from search.service.limits import Access, Limits
from search.service.uploads import receive

FILE = {"type": "string", "format": "binary"}
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {"schema": {"type": "object", "properties": {"file": FILE}, "required": ["file"]}},
        "audio/*": {"schema": FILE},
    },
}
ERROR = {"content": {"application/json": {"example": {"error": "the recording is empty"}}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is empty, or a form without a file.", **ERROR},
    401: {"description": "The token is missing or wrong.", **ERROR},
    408: {"description": "The recording arrived too slowly.", **ERROR},
    413: {"description": "The body is too large.", **ERROR},
    422: {"description": "The recording cannot be used.", **ERROR},
    503: {"description": "Other requests take all places; try again later.", **ERROR},
    504: {"description": "Scoring took too long.", **ERROR},
}
PAGE = "/docs"
PORT = re.compile(r":\d+$")
"""The port in the header Host, such as `localhost:8000` or `[::1]:8000`."""


def service(answers: Answers, *, card: str, limits: Limits, access: Access) -> FastAPI:
    """The service of a bundle.

    Args:
        answers: The bundle.
        card: Its model card, in Markdown.
        limits: What a request may take.
        access: Who may ask.
    """
    bundle = answers.scorer.bundle
    app = FastAPI(
        title="spooftune",
        description="Scores of a detector of spoofed speech: higher means more bona fide.",
        version=versions().get("spooftune", "0"),
        docs_url=None,
        redoc_url=None,
        exception_handlers={HTTPException: _http, RequestValidationError: _query, Exception: _fault},  # type: ignore[dict-item]
    )
    app.openapi_version = "3.0.3"  # the version that the packaged page can show
    bearer = HTTPBearer(auto_error=False, description="The token of --token-file.")
    places = threading.BoundedSemaphore(limits.concurrent)
    threads = ThreadPoolExecutor(limits.concurrent)

    def called_by_its_name(request: Request) -> None:
        host = request.headers.get("host", "")
        if access.hosts is not None and PORT.sub("", host).strip("[]").lower() not in access.hosts:
            raise HTTPException(400, f"the service is not called {host}")

    def allowed(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if not access.knows(credentials.credentials if credentials else ""):
            text = "the token is missing or wrong; send the header Authorization: Bearer TOKEN"
            raise HTTPException(401, text, {"WWW-Authenticate": "Bearer"})

    guarded = [Depends(called_by_its_name), *([Depends(allowed)] if access.token is not None else [])]

    @app.post(
        "/score",
        dependencies=guarded,
        response_model=Answer,
        response_model_exclude_unset=True,
        responses=ERRORS,
        openapi_extra={"requestBody": BODY},
        summary="Score a recording",
    )
    async def score(
        request: Request,
        segments: Annotated[bool, Query(description="Whether scores over time are wanted.")] = False,
    ) -> Any:
        """Send the recording as the body, or as `file` of a form: WAV, FLAC, OGG, MP3, any rate and channels."""
        if not places.acquire(blocking=False):
            text = f"{limits.concurrent} other requests are being answered; try again later"
            raise HTTPException(503, text, {"Retry-After": "1"})
        started = False
        folder = tempfile.TemporaryDirectory(prefix="spooftune-")

        def end(_: Any = None) -> None:
            folder.cleanup()
            places.release()

        try:
            path, given_up = Path(folder.name) / "recording", threading.Event()
            with path.open("wb") as file:
                name = await receive(request, file, limits)
            work = threads.submit(answers.of, path, name=name, segments=segments, given_up=given_up)
            started = True
            # The place is free when the thread ends, which may be after the client was told that it took too long.
            work.add_done_callback(end)
            try:
                return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(work)), limits.timeout_s)
            except (TimeoutError, TooSlow):
                text = f"scoring took longer than {limits.timeout_s:g} s; send a shorter recording"
                raise HTTPException(504, text) from None
            finally:
                given_up.set()
        except InputError as error:
            raise HTTPException(422, "; ".join(error.problems)) from error
        finally:
            if not started:
                end()

    @app.get("/health", summary="Whether the service runs")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/bundle", dependencies=guarded, responses={401: ERRORS[401]}, summary="The detector and its model card")
    def about() -> dict[str, Any]:
        calibration = bundle.calibration
        return {
            "threshold": answers.threshold,
            "calibration": None if calibration is None else vars(calibration),
            "metrics": bundle.metrics,
            "durations_s": {name: vars(durations) for name, durations in bundle.durations.items()},
            "limits": vars(limits),
            "card": card,
        }

    @app.get("/", include_in_schema=False)
    def start() -> RedirectResponse:
        return RedirectResponse(PAGE)

    @app.get(PAGE, include_in_schema=False)
    def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="spooftune",
            swagger_js_url="/page/swagger-ui-bundle.js",
            swagger_css_url="/page/swagger-ui.css",
            swagger_favicon_url="/page/favicon-32x32.png",
        )

    app.mount("/page", StaticFiles(directory=swagger_ui_path))
    return app


def _http(request: Request, error: HTTPException) -> JSONResponse:
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _query(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return JSONResponse({"error": "; ".join(problems)}, 400)


def _fault(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "the service failed; its log says why"}, 500)

"""The body of a request -> a file: raw bytes, or the one file of a form."""

import asyncio
from pathlib import Path
from typing import BinaryIO

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message

from search.service.limits import Limits

BLOCK = 1 << 20
"""Bytes of an uploaded file that are copied at a time."""

NAME = 200
"""Characters of a name of a recording, at most."""


async def receive(request: Request, file: BinaryIO, limits: Limits) -> str:
    """Writes the recording of a request to a file, and returns its name.

    Args:
        request: The request. A form must have one file; any other body is the recording itself.
        file: Receives the recording.
        limits: Limits of the request.

    Raises:
        HTTPException: The body is too large, too slow, empty, or is a form without a file.
    """
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _receive(request, file, limits)
    except TimeoutError:
        raise HTTPException(408, f"the recording did not arrive within {limits.timeout_s:g} s") from None


async def _receive(request: Request, file: BinaryIO, limits: Limits) -> str:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.max_bytes:
        raise _too_large(limits)
    counted = _counted(request, limits)
    name = "recording"
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        async with counted.form(max_files=1, max_fields=8) as form:
            uploads = [value for value in form.values() if isinstance(value, UploadFile)]
            if not uploads:
                raise HTTPException(400, "the form has no file; send it as file, for example with curl -F file=@a.wav")
            while block := await uploads[0].read(BLOCK):
                file.write(block)
            name = uploads[0].filename or name
    else:
        async for block in counted.stream():
            file.write(block)
    if not file.tell():
        raise HTTPException(400, "the recording is empty")
    file.flush()
    printable = "".join(character if character.isprintable() else "?" for character in Path(name).name)
    return printable[:NAME] or "recording"


def _counted(request: Request, limits: Limits) -> Request:
    """The request, which ends as soon as its body is too large, whatever it has announced."""
    n_bytes = 0

    async def receive() -> Message:
        nonlocal n_bytes
        message = await request.receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > limits.max_bytes:
            raise _too_large(limits)
        return message

    return Request(request.scope, receive)


def _too_large(limits: Limits) -> HTTPException:
    return HTTPException(413, f"the body is too large; at most {limits.max_bytes:,} bytes are accepted")

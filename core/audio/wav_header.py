"""What the header of a WAV file says about its size: recordings that were cut off, or longer than their header."""

import struct
from pathlib import Path

UNKNOWN = (0, 0xFFFFFFFF, 0x7FFFFFFF)
"""Sizes that programs write that do not know the length yet, such as FFmpeg into a pipe."""


def size_problem(path: Path) -> str | None:
    """How the data chunk of a WAV file contradicts the file's size; None if it does not, or for other formats.

    libsndfile reads what there is and does not say so.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        end = path.stat().st_size
        position = 12
        while position + 8 <= end:
            file.seek(position)
            name, size = struct.unpack("<4sI", file.read(8))
            begin, position = position + 8, position + 8 + size + size % 2
            if name != b"data" or size in UNKNOWN:
                continue
            if begin + size > end:
                return f"its header announces {size:,} bytes of audio and {end - begin:,} follow: it was cut off"
            file.seek(position)
            following = file.read(8)
            if len(following) == 8 and not following[:4].isalnum() and following[:4].strip() != b"":
                rest = end - position
                return f"its header announces {size:,} bytes of audio; {rest:,} more follow, which are not read"
            return None
    return None

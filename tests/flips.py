"""Single bits that flip in files."""

import random
from pathlib import Path


def flip(file: Path, draw: random.Random) -> bytes:
    """The content of a file, in which one random bit is flipped."""
    content = file.read_bytes()
    damaged = bytearray(content)
    damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    file.write_bytes(damaged)
    return content

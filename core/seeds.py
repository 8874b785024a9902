"""Seeds: one number for an experiment, an independent one for each of its purposes."""

import hashlib


def derived_seed(seed: int, *purpose: object) -> int:
    """A seed in [0, 2^63) for one purpose, the same on every machine; different purposes are independent."""
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1

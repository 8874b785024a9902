"""Seeds: an experiment has one seed, from which every purpose derives an independent one."""

import hashlib


def derived_seed(seed: int, *purpose: object) -> int:
    """Seed in [0, 2^63) for one purpose. It is the same on every machine; the seeds of two purposes are independent.

    Args:
        seed: Seed of the experiment.
        purpose: Values that name the purpose, such as `"pairs", 3`; their `repr` must be the same on every machine.
    """
    digest = hashlib.sha256(repr((seed, *purpose)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1

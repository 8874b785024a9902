"""The CPUs and the memory that this process may use: those of the machine, within its CPU affinity and cgroups.

Batch systems and containers give a process a part of a machine. SLURM, `taskset` and `docker --cpuset-cpus` set the CPU
affinity; `docker --cpus`, Kubernetes and systemd set quotas of cgroups.
"""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Where the hierarchies of cgroups are mounted."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""Names the cgroups of this process, one line per hierarchy: `number:controllers:path`."""


def usable_cpus() -> int:
    """CPUs that this process may use at a time, at least 1: its CPU affinity, or a smaller quota of a cgroup.

    A quota of 2.5 CPUs counts as 2, since a trial has whole CPUs.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([affinity, *_quotas()])))


def memory_limit() -> int | None:
    """Bytes of memory to which a cgroup limits this process; None: only the machine's memory limits it."""
    limits = [*_numbers("memory", "memory.max"), *_numbers("memory", "memory.limit_in_bytes")]
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = min(limits, default=physical)  # Version 1 writes a number near 2 ** 63 for "no limit".
    return limit if limit < physical else None


def _quotas() -> Iterator[float]:
    """CPUs per second of the cgroups of this process that have a quota."""
    for folder in _cgroups("cpu"):
        quota, _, period = _text(folder / "cpu.max").partition(" ")  # version 2: "200000 100000", or "max 100000"
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")  # version 1
        if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _numbers(controller: str, name: str) -> Iterator[int]:
    texts = (_text(folder / name) for folder in _cgroups(controller))
    return (int(text) for text in texts if text.isdecimal())


def _cgroups(controller: str) -> Iterator[Path]:
    """Folders of the cgroups of this process for a controller, from its own up to the root, whose limits all apply.

    A container may see its own cgroup as the root of the hierarchy and still be told its path on the host. Folders that
    do not exist are therefore no error.
    """
    for line in _text(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 1 has a hierarchy per controller, in a folder of its name; version 2 has one, without a name.
        root = CGROUPS / controller if controllers else CGROUPS
        own = root / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""

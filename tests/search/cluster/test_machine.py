"""CPUs and memory that a process may use, from its affinity and from made-up cgroups of both versions."""

import os

import pytest

from search.cluster import machine, ray_session
from search.cluster.machine import memory_limit, usable_cpus
from search.prepare.checks import resource_problems
from search.space.reader import read_space

GB = 1 << 30


@pytest.fixture
def limit(tmp_path, monkeypatch):
    """A function that sets the affinity, the membership and the files of cgroups."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")

    def set_limits(n_cpus, membership="", **files):
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(n_cpus)))
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return set_limits


@pytest.mark.parametrize(
    ("n_cpus", "membership", "files", "cpus"),
    [
        (3, "", {}, 3),
        (8, "0::/\n", {"cpu.max": "200000 100000"}, 2),
        (8, "0::/\n", {"cpu.max": "max 100000"}, 8),
        (2, "0::/\n", {"cpu.max": "400000 100000"}, 2),
        (8, "0::/\n", {"cpu.max": "250000 100000"}, 2),  # whole CPUs
        (8, "0::/\n", {"cpu.max": "50000 100000"}, 1),  # at least one
        (8, "0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),  # the parent's counts, too
        (8, "0::/on/the/host\n", {"cpu.max": "100000 100000"}, 1),  # the path of another namespace
        (8, "4:cpu,cpuacct:/x\n0::/\n", {"cpu/x/cpu.cfs_quota_us": "150000", "cpu/x/cpu.cfs_period_us": "50000"}, 3),
        (8, "4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        (8, "4:cpuset:/\n", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 8),
    ],
)
def test_cpus(limit, n_cpus, membership, files, cpus):
    limit(n_cpus, membership, **files)
    assert usable_cpus() == cpus


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("", {}, None),
        ("0::/job\n", {"job/memory.max": "1048576"}, 1048576),
        ("0::/job/step\n", {"job/memory.max": "1048576", "job/step/memory.max": "max"}, 1048576),
        ("0::/\n", {"memory.max": "max"}, None),
        ("7:memory:/x\n", {"memory/x/memory.limit_in_bytes": "1048576"}, 1048576),
        ("7:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
    ],
)
def test_memory(limit, membership, files, expected):
    limit(1, membership, **files)
    assert memory_limit() == expected


def test_ray_gets_what_this_process_may_use(limit, monkeypatch):
    import ray

    started = {}
    monkeypatch.setattr(ray, "init", lambda **options: started.update(options))
    limit(8, "0::/\n", **{"cpu.max": "300000 100000", "memory.max": str(GB)})
    ray_session.start_ray(None)
    assert started["num_cpus"] == 3
    assert started["object_store_memory"] + started["_memory"] <= GB
    # Any other size would stop Ray: too small a store, or one above 10 GB where /dev/shm is small, as in containers.
    for memory, size in ((10**8, 75 * 2**20), (5 * 10**10, 10**10)):
        monkeypatch.setattr(ray_session, "memory_limit", lambda memory=memory: memory)
        ray_session.start_ray(None)
        assert started["object_store_memory"] == size
    ray_session.start_ray("auto")  # the nodes of a cluster report their own
    assert started["num_cpus"] is None


def test_a_trial_that_needs_more_cpus_than_the_affinity_is_refused(limit, space_file):
    limit(2)
    space = read_space(space_file, ["search.cpus=3"])
    assert resource_problems(space) == ["search.cpus is 3; this process may use 2 CPUs"]

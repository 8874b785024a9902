"""Commands with `--cluster`: carried out where the run lies, shown here."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from core.errors import InputError
from search.board import show_cluster
from search.cluster import Job, check_for_cluster, launch_on, reached
from search.journal import now
from search.report import console, show_jobs
from search.run import check_name

PASSED = {
    "status": ("limit",),
    "stop": (),
    "logs": ("trial",),
    "resume": ("trials", "hours", "gpu_hours", "retry_failed", "force", "allow_changed_space"),
    "export": ("rank", "trial", "no_eval"),
}
"""Options of a command that the head is given, too."""


def carried_out(options: argparse.Namespace) -> int:
    """Carries out a command that was given `--cluster`; returns its exit code."""
    return COMMANDS[options.verb](options)


def _launch(options: argparse.Namespace) -> int:
    from search.space_reader import read_space

    space = read_space(Path(options.space), options.set)
    storage = options.storage or space.search.storage
    check_for_cluster(space, storage)
    if options.name is not None:
        check_name(options.name)
    with reached(options.cluster) as cluster:
        job, state = launch_on(cluster, space, storage, options.name, _say, wait=options.wait)
    return _submitted(options.cluster, job, state)


def _resume(options: argparse.Namespace) -> int:
    from search.space_reader import read_space

    space = read_space(Path(options.space), options.set) if options.space else None
    with reached(options.cluster) as cluster:
        storage = cluster.storage_of(options.run, options.storage)
        arguments = [options.run, "--storage", storage, "--address", "auto", *_repeated(options)]
        job = cluster.submit("resume", options.run, storage, arguments, space)
        state = cluster.follow(job, _say, until_started=True)
    return _submitted(options.cluster, job, state)


def _submitted(cluster: str, job: Job, state: str) -> int:
    if state in ("FAILED", "STOPPED"):
        print(f"spooftune: job {job.id} {state.lower()}", file=sys.stderr)
        return 1
    if state == "RUNNING":
        print(f"job {job.id} runs on the cluster, which needs this machine no more; from anywhere:")
        for command in ("status", "logs", "tensorboard", "stop", "resume", "export"):
            print(f"  spooftune {command} {job.run} --cluster {cluster}")
    return 0


def _list(options: argparse.Namespace) -> int:
    with reached(options.cluster) as cluster:
        show_jobs(cluster.jobs(), console())
    return 0


def _status(options: argparse.Namespace) -> int:
    return _asked(options) if options.run else _list(options)


def _logs(options: argparse.Namespace) -> int:
    if options.trial is not None:
        return _asked(options)
    with reached(options.cluster) as cluster:
        job = cluster.job_of(options.run)
        if options.follow:
            cluster.follow(job, _say)
        else:
            print(cluster.log(job), end="")
    return 0


def _asked(options: argparse.Namespace) -> int:
    """The same command, on the head."""
    with reached(options.cluster) as cluster:
        storage = cluster.storage_of(options.run, options.storage)
        arguments = [options.run, "--storage", storage, *_repeated(options)]
        return cluster.ask(options.verb, options.run, storage, arguments, _say)


def _tensorboard(options: argparse.Namespace) -> int:
    return show_cluster(options.cluster, options.run, options.storage, port=options.port)


def _export(options: argparse.Namespace) -> int:
    which = f"rank{options.rank}" if options.trial is None else f"trial{options.trial}"
    target = Path(options.output or f"{options.run}-{which}")
    if target.exists():
        raise InputError(f"{target}: is there already; nothing of it was touched. Choose another --output")
    with reached(options.cluster) as cluster:
        storage = cluster.storage_of(options.run, options.storage)
        folder = f"{storage}/runs/{options.run}/export-{now()[:19].replace(':', '')}"
        arguments = [options.run, "--storage", storage, "--output", folder, *_repeated(options)]
        if cluster.ask("export", options.run, storage, arguments, _say):
            return 1
        cluster.fetch(folder, target)
    print(f"copied to {target}")
    return 0


def _repeated(options: argparse.Namespace) -> list[str]:
    found = []
    for name in PASSED[options.verb]:
        value = getattr(options, name)
        if value is not None and value is not False:
            found += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
    return found


def _say(line: str) -> None:
    print(line, flush=True)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "launch": _launch,
    "resume": _resume,
    "list": _list,
    "status": _status,
    "logs": _logs,
    "stop": _asked,
    "tensorboard": _tensorboard,
    "export": _export,
}

"""Searches on a Ray cluster: submitted as jobs, watched and steered from any machine that reaches its head."""

import contextlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from core.errors import InputError, Unavailable
from search.cluster.connection import first_line, last_line, ray_program, read_cluster, tunnel
from search.runs.storage import Storage

if TYPE_CHECKING:
    from search.space.space import Space

SPACE_FILE = "space.yaml"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
"""States of a job that has ended, as Ray has them."""

JOB = "SPOOFTUNE_JOB"
"""Environment variable of a process that was submitted as a job."""

STARTED = "@spooftune started"
"""The line by which a job tells its client that its run lies in the storage; no user sees it."""


@dataclass(frozen=True)
class Job:
    """A command of spooftune that runs, or ran, on the cluster.

    Attributes:
        id: The name by which Ray knows it.
        run: The run that it belongs to.
        storage: Where that run lies.
        command: `launch` or `resume`.
        state: As Ray has it: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        began: Seconds since the epoch.
    """

    id: str
    run: str
    storage: str
    command: str
    state: str
    began: float


class Cluster:
    """The Jobs API of a cluster, and the files of its head."""

    def __init__(self, client: Any, config: Path | None) -> None:
        self._client = client
        self._config = config

    def submit(self, command: str, run: str, storage: str, arguments: Sequence[str], space: "Space | None") -> Job:
        """Submits `spooftune COMMAND ARGUMENTS`, which goes on when this process ends.

        Args:
            command: `launch`, `resume` or another command of spooftune.
            run: The run that it is about.
            storage: Where that run lies.
            arguments: Of the command.
            space: Travels with the job, which is given it as `--space`; `launch` takes it as its first argument.
        """
        taken = {each.id for each in self.jobs()}
        numbers = (f"{run}.{command}-{k}" for k in range(1, 100_000))
        job_id = next(each for each in numbers if each not in taken)
        named = [] if space is None else [SPACE_FILE] if command == "launch" else ["--space", SPACE_FILE]
        with tempfile.TemporaryDirectory(prefix="spooftune-") as folder:
            if space is not None:
                text = yaml.safe_dump(dict(space.plain), sort_keys=False)
                (Path(folder) / SPACE_FILE).write_text(text, encoding="utf-8")
            found = self._client.submit_job(
                entrypoint=shlex.join(["env", f"{JOB}=1", "spooftune", command, *arguments, *named]),
                submission_id=job_id,
                runtime_env={"working_dir": folder} if space is not None else None,
                metadata={"spooftune": command, "run": run, "storage": storage},
            )
        return Job(str(found), run, storage, command, "PENDING", time.time())

    def jobs(self) -> list[Job]:
        """Every job of spooftune that the cluster remembers, oldest first."""
        jobs = []
        for each in self._client.list_jobs():
            known = each.metadata or {}
            if "spooftune" in known and each.submission_id:
                began = (each.start_time or 0) / 1000
                what = (known.get("run", ""), known.get("storage", ""), known["spooftune"])
                jobs.append(Job(each.submission_id, *what, str(each.status.value), began))
        return sorted(jobs, key=lambda job: job.began)

    def storage_of(self, run: str, given: str | None) -> str:
        """Where a run lies: as given, or as its latest launch or resumption has it.

        Raises:
            InputError: the cluster remembers no such run; names those it does.
        """
        return given if given is not None else self.job_of(run).storage

    def job_of(self, run: str) -> Job:
        """The latest launch or resumption of a run.

        Raises:
            InputError: the cluster remembers none; names those it does.
        """
        jobs = [each for each in self.jobs() if each.command in ("launch", "resume")]
        found = [each for each in jobs if each.run == run]
        if not found:
            known = ", ".join(dict.fromkeys(each.run for each in jobs)) or "none yet"
            hint = "of a run from before the cluster was started, say --storage DIR, as the cluster sees it"
            raise InputError(f"no run {run!r} on this cluster; it remembers: {known}; {hint}")
        return found[-1]

    def follow(self, job: Job, say: Callable[[str], None], *, until_started: bool = False) -> str:
        """Passes on what a job prints.

        Args:
            job: The job.
            say: Called with every line.
            until_started: Whether to leave the job alone once its run has started; otherwise it is followed to its end.

        Returns:
            One of ENDED, or RUNNING for a job that is left alone.
        """
        passed = 0
        while True:
            state = str(self._client.get_job_status(job.id).value)
            text: str = self._client.get_job_logs(job.id)
            whole = len(text) if state in ENDED else text.rfind("\n") + 1  # the last line may be half written
            lines = text[passed:whole].splitlines()
            passed = max(passed, whole)
            for line in filter(_is_ours, lines):
                say(line)
            if state in ENDED:
                return state
            if until_started and STARTED in lines:
                return "RUNNING"
            time.sleep(1.0)

    def log(self, job: Job) -> str:
        """What a job printed so far, without the lines that are not meant for users."""
        text: str = self._client.get_job_logs(job.id)
        return "".join(line for line in text.splitlines(keepends=True) if _is_ours(line))

    def ask(self, command: str, run: str, storage: str, arguments: Sequence[str], say: Callable[[str], None]) -> int:
        """Runs a short command on the head and passes on what it prints; returns 0, or 1 where it failed."""
        return 0 if self.follow(self.submit(command, run, storage, arguments, None), say) == "SUCCEEDED" else 1

    def fetch(self, folder: str, target: Path) -> None:
        """Copies a folder of the head, or of what it mounts, to this machine.

        Raises:
            InputError: the cluster is known by the address of its Jobs API alone, or the copy fails.
        """
        if "://" in folder:
            place, _, relative = folder.partition("/runs/")
            storage = Storage(place)
            storage.pull(f"runs/{relative}")
            shutil.copytree(storage.folder / "runs" / relative, target, dirs_exist_ok=True)
            return
        if self._config is None:
            raise InputError(f"{folder} lies on the cluster: copying it needs --cluster FILE.yaml, not an address")
        target.mkdir(parents=True, exist_ok=True)
        command = [ray_program(), "rsync-down", str(self._config), f"{folder.rstrip('/')}/", f"{target}/"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{folder}: could not be copied from the cluster: {last_line(done.stdout + done.stderr)}")


@contextlib.contextmanager
def reached(where: str) -> Iterator[Cluster]:
    """A cluster, while its head is reached.

    Args:
        where: The cluster's YAML, whose head is then reached through ssh, or the address of its Jobs API,
            such as `http://127.0.0.1:8265`.

    Raises:
        InputError: the YAML has mistakes, or the head refuses the token.
        Unavailable: the head or its Jobs API is not reached.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    with contextlib.ExitStack() as stack:
        config = None if "://" in where else read_cluster(Path(where))
        address = where if config is None else stack.enter_context(tunnel(config))
        try:
            client = JobSubmissionClient(address)
        except (ConnectionError, RuntimeError, RayError) as error:
            hint = "the token of this machine and of the cluster must be the same"
            why = first_line(str(error))
            kind = Unavailable if isinstance(error, ConnectionError) else InputError  # else: another token, or no Ray
            raise kind(f"--cluster {where}: its Jobs API does not answer: {why}; {hint}") from error
        yield Cluster(client, config)


def check_for_cluster(space: "Space", storage: str) -> None:
    """Checks what of a space can be wrong on a cluster alone.

    Raises:
        InputError: corpus or storage are named by a path that depends on where a process runs.
    """
    problems = []
    if not PurePosixPath(space.corpus.path).is_absolute():
        what = "on a cluster it must be absolute, the same on every node"
        problems.append(f"corpus.path is {space.corpus.path!r}: {what}")
    if "://" not in storage and not PurePosixPath(storage).is_absolute():
        what = "on a cluster it must be an absolute path that every node shares, or a URL"
        problems.append(f"search.storage (or --storage) is {storage!r}: {what}")
    if problems:
        raise InputError(problems)


def launch_on(
    cluster: Cluster, space: "Space", storage: str, name: str | None, say: Callable[[str], None], *, wait: bool
) -> tuple[Job, str]:
    """Submits a search and follows it until the cluster is checked and the run exists.

    Args:
        cluster: Where it runs.
        space: What is searched; it travels with the job.
        storage: Folder of runs and stores, on the cluster.
        name: Of the run; None = the space's name and the time.
        say: Called with each line that the job prints meanwhile.
        wait: Whether to follow it to its end.

    Returns:
        The job and its state: at its end, or RUNNING where it is left alone.
    """
    run = name or f"{space.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    job = cluster.submit("launch", run, storage, ["--name", run, "--storage", storage, "--address", "auto"], space)
    return job, cluster.follow(job, say, until_started=not wait)


def tell_client() -> None:
    """Tells the client of this job that the run lies in the storage; a process that is no job prints nothing."""
    if JOB in os.environ:
        print(STARTED, flush=True)


def _is_ours(line: str) -> bool:
    """Whether a line of a job's log is for users: no remark of Ray about its connection, no mark for the client."""
    of_ray = "INFO worker.py" in line or "INFO job_manager.py" in line or line.startswith("Running entrypoint for job")
    return not of_ray and line.rstrip("\n") != STARTED

"""Searches as jobs of a Ray cluster, controlled from any machine that can reach the head."""

import contextlib
import logging
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from core.errors import InputError, Unavailable
from search.cluster.connection import first_line, last_line, ray_program, read_cluster, tunnel
from search.runs.scratch import scratch_folder
from search.runs.storage import Storage

if TYPE_CHECKING:
    from search.space.space import Space

SPACE_FILE = "space.yaml"
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
"""Ray's states of a job that has ended."""

JOB = "SPOOFTUNE_JOB"
"""Environment variable that marks a process as a job of the cluster."""

STARTED = "@spooftune started"
"""Line that a job prints for its client once its run exists in the storage; users do not see it."""


@dataclass(frozen=True)
class Job:
    """A spooftune command that runs, or has run, on the cluster.

    Attributes:
        id: Ray's submission ID.
        run: Name of the run to which the command applies.
        storage: Storage of that run.
        command: Name of the command, such as `launch` or `resume`.
        state: Ray's state: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        began: Start time in seconds since 1970; 0 = not started yet.
    """

    id: str
    run: str
    storage: str
    command: str
    state: str
    began: float


class Cluster:
    """A cluster: its Jobs API, and the files of its head."""

    def __init__(self, client: Any, config: Path | None) -> None:
        self._client = client
        self._config = config

    def submit(self, command: str, run: str, storage: str, arguments: Sequence[str], space: "Space | None") -> Job:
        """Submits `spooftune COMMAND ARGUMENTS` as a job, which continues after this process ends.

        Args:
            command: `launch`, `resume` or another spooftune command.
            run: Name of the run to which the command applies.
            storage: Storage of that run.
            arguments: Arguments of the command.
            space: Space that the job receives as a file: the first argument of `launch`, `--space` of other commands.
                None: no space.

        Returns:
            The submitted job.
        """
        taken = {job.id for job in self.jobs()}
        candidates = (f"{run}.{command}-{k}" for k in range(1, 100_000))
        job_id = next(candidate for candidate in candidates if candidate not in taken)
        space_arguments = [] if space is None else [SPACE_FILE] if command == "launch" else ["--space", SPACE_FILE]
        with scratch_folder() as folder:
            if space is not None:
                text = yaml.safe_dump(dict(space.plain), sort_keys=False)
                (folder / SPACE_FILE).write_text(text, encoding="utf-8")
            submission_id = self._client.submit_job(
                entrypoint=shlex.join(["env", f"{JOB}=1", "spooftune", command, *arguments, *space_arguments]),
                submission_id=job_id,
                runtime_env={"working_dir": folder} if space is not None else None,
                metadata={"spooftune": command, "run": run, "storage": storage},
            )
        return Job(str(submission_id), run, storage, command, "PENDING", time.time())

    def jobs(self) -> list[Job]:
        """All spooftune jobs that the cluster remembers, oldest first."""
        jobs = []
        for details in self._client.list_jobs():
            metadata = details.metadata or {}
            if "spooftune" in metadata and details.submission_id:
                job = Job(
                    id=details.submission_id,
                    run=metadata.get("run", ""),
                    storage=metadata.get("storage", ""),
                    command=metadata["spooftune"],
                    state=str(details.status.value),
                    began=(details.start_time or 0) / 1000,
                )
                jobs.append(job)
        return sorted(jobs, key=lambda job: job.began)

    def storage_of(self, run: str, given: str | None) -> str:
        """The storage of a run: the given one, or that of its latest launch or resumption.

        Raises:
            InputError: No storage is given, and the cluster does not remember the run.
        """
        return given if given is not None else self.job_of(run).storage

    def job_of(self, run: str) -> Job:
        """The latest launch or resumption of a run.

        Raises:
            InputError: The cluster does not remember the run.
        """
        jobs = [job for job in self.jobs() if job.command in ("launch", "resume")]
        matches = [job for job in jobs if job.run == run]
        if not matches:
            known = ", ".join(dict.fromkeys(job.run for job in jobs)) or "none yet"
            hint = "for a run that is older than the cluster, pass --storage DIR, the path on the cluster"
            raise InputError(f"no run {run!r} on this cluster; it remembers: {known}; {hint}")
        return matches[-1]

    def follow(self, job: Job, say: Callable[[str], None], *, until_started: bool = False) -> str:
        """Passes on the output of a job.

        Args:
            job: The job.
            say: Called with every line.
            until_started: True: returns once the job's run has started. False: returns when the job has ended.

        Returns:
            One of ENDED, or RUNNING for a job that continues.
        """
        passed = 0
        while True:
            state = str(self._client.get_job_status(job.id).value)
            text: str = self._client.get_job_logs(job.id)
            whole = len(text) if state in ENDED else text.rfind("\n") + 1  # The last line may be incomplete.
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
        """Output of a job so far, without the lines that are not meant for users."""
        text: str = self._client.get_job_logs(job.id)
        return "".join(line for line in text.splitlines(keepends=True) if _is_ours(line))

    def ask(self, command: str, run: str, storage: str, arguments: Sequence[str], say: Callable[[str], None]) -> int:
        """Runs a short command on the head and passes on its output; returns 0, or 1 if it failed."""
        return 0 if self.follow(self.submit(command, run, storage, arguments, None), say) == "SUCCEEDED" else 1

    def fetch(self, folder: str, target: Path) -> None:
        """Copies a folder from the cluster to this machine.

        Args:
            folder: Path on the head, or URL.
            target: Folder on this machine.

        Raises:
            InputError: A path on the head is wanted, but only the address of the Jobs API is known.
            Unavailable: The copy failed.
        """
        if "://" in folder:
            url, _, relative = folder.partition("/runs/")
            storage = Storage(url)
            storage.pull(f"runs/{relative}")
            shutil.copytree(storage.folder / "runs" / relative, target, dirs_exist_ok=True)
            return
        if self._config is None:
            raise InputError(f"{folder} is on the cluster: to copy it, pass --cluster FILE.yaml instead of an address")
        target.mkdir(parents=True, exist_ok=True)
        command = [ray_program(), "rsync-down", str(self._config), f"{folder.rstrip('/')}/", f"{target}/"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{folder}: could not be copied from the cluster: {last_line(done.stdout + done.stderr)}")


@contextlib.contextmanager
def connect(cluster: str) -> Iterator[Cluster]:
    """Connects to a cluster; the connection ends with the block.

    Args:
        cluster: The cluster's YAML, whose head is reached through ssh, or the address of its Jobs API, such as
            `http://127.0.0.1:8265`.

    Raises:
        InputError: The YAML has mistakes, or the head refuses the token.
        Unavailable: The head or its Jobs API cannot be reached.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    from ray.exceptions import RayError
    from ray.job_submission import JobSubmissionClient

    with contextlib.ExitStack() as stack:
        config = None if "://" in cluster else read_cluster(Path(cluster))
        address = cluster if config is None else stack.enter_context(tunnel(config))
        try:
            client = JobSubmissionClient(address)
        except (ConnectionError, RuntimeError, RayError) as error:
            hint = "this machine and the cluster must have the same token"
            reason = first_line(str(error))
            # Anything but a failed connection means another token, or a server that is not Ray.
            kind = Unavailable if isinstance(error, ConnectionError) else InputError
            raise kind(f"--cluster {cluster}: its Jobs API does not answer: {reason}; {hint}") from error
        yield Cluster(client, config)


def check_for_cluster(space: "Space", storage: str) -> None:
    """Checks that a space's corpus and storage have the same path on every node.

    Raises:
        InputError: The path of the corpus or the storage is relative.
    """
    problems = []
    if not PurePosixPath(space.corpus.path).is_absolute():
        valid = "on a cluster it must be absolute, the same on every node"
        problems.append(f"corpus.path is {space.corpus.path!r}: {valid}")
    if "://" not in storage and not PurePosixPath(storage).is_absolute():
        valid = "on a cluster it must be an absolute path that all nodes share, or a URL"
        problems.append(f"search.storage (or --storage) is {storage!r}: {valid}")
    if problems:
        raise InputError(problems)


def launch_on(
    cluster: Cluster,
    space: "Space",
    storage: str,
    name: str | None,
    say: Callable[[str], None],
    *,
    options: Sequence[str] = (),
    wait: bool,
) -> tuple[Job, str]:
    """Submits a search and follows it until the cluster is checked and the run exists.

    Args:
        cluster: Cluster that runs the search.
        space: Space of the search; the job receives a copy.
        storage: Folder of runs and stores on the cluster, or URL.
        name: Name of the run; None: the space's name and the time.
        say: Called with every line that the job prints meanwhile.
        options: Further options of `spooftune launch`.
        wait: Whether to follow the job to its end.

    Returns:
        The job and its state: one of ENDED, or RUNNING for a job that continues.
    """
    run = name or f"{space.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    arguments = ["--name", run, "--storage", storage, "--address", "auto", *options]
    job = cluster.submit("launch", run, storage, arguments, space)
    return job, cluster.follow(job, say, until_started=not wait)


def announce_start() -> None:
    """Tells the client of this job that the run exists in the storage. A process that is not a job prints nothing."""
    if JOB in os.environ:
        print(STARTED, flush=True)


def _is_ours(line: str) -> bool:
    """Whether a line of a job's log is for users: not Ray's connection messages, and not STARTED."""
    if "INFO worker.py" in line or "INFO job_manager.py" in line or line.startswith("Running entrypoint for job"):
        return False
    return line.rstrip("\n") != STARTED

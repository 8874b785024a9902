"""All uses of Ray's private attributes: the module to check when Ray's version changes.

Importing this module imports no Ray.
"""

import atexit
import contextlib
import copy
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.atomic import copy_folder


def report_to_rungs(scheduler: Any, name: str, epoch: int, objective: float) -> bool:
    """Passes a report to the rungs of an ASHAScheduler, for a trial that Ray Tune does not have.

    Args:
        scheduler: An ASHAScheduler with one bracket.
        name: Name of the trial in the rungs.
        epoch: Epoch of the report.
        objective: Value of the report, lower is better.

    Returns:
        Whether the scheduler stops the trial at this report.
    """
    if epoch >= scheduler._max_t:  # ASHA ends a trial at its last epoch without recording it in a rung
        return True
    (bracket,) = scheduler._brackets
    decision = bracket.on_result(SimpleNamespace(trial_id=name), epoch, scheduler._metric_op * objective)
    return bool(decision == scheduler.STOP)


def rename_in_rungs(scheduler: Any, name: str, trial_id: str) -> None:
    """Renames a trial from `name` to `trial_id` in all rungs of an ASHAScheduler with one bracket."""
    (bracket,) = scheduler._brackets
    for _, recorded in bracket._rungs:
        if name in recorded:
            recorded[trial_id] = recorded.pop(name)


def median_reports(rule: Any) -> dict[Any, list[dict[str, Any]]]:
    """The reports that a MedianStoppingRule has received, by trial. Changes to the dict change the rule."""
    reports: dict[Any, list[dict[str, Any]]] = rule._results
    return reports


def forget_stopped(rule: Any, trial: Any) -> None:
    """Removes a trial from the set of trials that a MedianStoppingRule has stopped; it may be absent."""
    rule._stopped_trials.discard(trial)


@contextlib.contextmanager
def whole_checkpoints() -> Iterator[None]:
    """During the block, a report of this trial stores its checkpoint completely or not at all.

    Ray copies a checkpoint file by file into the folder that readers see. After a copy that failed it uses the next
    name, so that a full disk would leave a row of empty folders. During the block, a copy on a file system is made
    aside, flushed and renamed. After a failure nothing is left, and the next report uses the same name.

    Raises:
        OSError: The storage could not be written; the report may be repeated.
    """
    from pyarrow import fs
    from ray.train._internal.session import get_session

    session: Any = get_session()
    storage = session.storage
    copy_to_storage = storage.persist_current_checkpoint

    def persist(checkpoint: Any) -> Any:
        target = Path(storage.checkpoint_fs_path)
        try:
            if not isinstance(storage.storage_filesystem, fs.LocalFileSystem):
                return copy_to_storage(checkpoint)
            storage._check_validation_file()
            copy_folder(Path(checkpoint.path), target)
            return type(checkpoint)(filesystem=storage.storage_filesystem, path=str(target))
        except BaseException:
            with contextlib.suppress(OSError):
                storage.storage_filesystem.delete_dir(str(target))
            storage.current_checkpoint_index -= 1
            raise

    storage.persist_current_checkpoint = persist
    try:
        yield
    finally:
        del storage.persist_current_checkpoint


def autoscaler_groups() -> list[Any] | None:
    """Groups of nodes that the autoscaler of the connected cluster may start.

    Returns:
        The groups; None or an empty list if the cluster does not scale. A group has `resources`, which are those of one
        node, and `max_count`, the maximum number of nodes (negative = no limit).
    """
    import ray

    config = ray._private.state.state.get_cluster_config()
    groups: list[Any] | None = getattr(config, "node_group_configs", None)
    return groups


def check_cluster_config(config: dict[str, Any]) -> None:
    """Checks the content of a cluster's YAML file against Ray's schema.

    Args:
        config: The content of the file; it is not changed.

    Raises:
        Exception: Ray refuses the configuration. Ray does not say which classes of exceptions it raises.
    """
    from ray.autoscaler._private.util import prepare_config, validate_config

    with contextlib.redirect_stdout(io.StringIO()):  # Ray prints a line for every file mount
        validate_config(prepare_config(copy.deepcopy(config)))


class _Kept(list[str]):
    """A list that nothing is added to by `extend`."""

    def extend(self, values: object) -> None:
        """Leaves the list as it is."""


def installed_modules_only() -> Any:
    """Settings for `ray.init` with which workers import what is installed, and nothing from the current folder.

    Ray puts the folder of the driver's script and the current folder before all others in its workers. A user's package
    `core` or `search` there would be imported instead of ours.
    """
    from ray.job_config import JobConfig

    config: Any = JobConfig()
    config._py_driver_sys_path = _Kept()
    return config


def end_with_ray() -> None:
    """Ends this process with exit code 1 and one sentence when Ray's raylet or its control service ends on its own.

    Ray would end the process without a word, seconds or minutes later.
    """
    import ray
    from ray._private import worker as ray_worker

    worker: Any = ray_worker
    ended = threading.Event()
    atexit.register(ended.set)  # before Ray's own function, which ends the processes

    def watch(node: Any) -> None:
        while not ended.wait(1.0):
            if not ray.is_initialized() or worker._global_node is not node:
                return
            dead = [kind for kind, _ in node.dead_processes() if kind in ("raylet", "gcs_server")]
            if dead and not ended.wait(2.0) and worker._global_node is node:
                hint = "what was recorded is kept, and spooftune resume RUN continues the run"
                print(f"spooftune: a part of Ray, {dead[0]}, has ended on its own; {hint}", file=sys.stderr, flush=True)
                os._exit(1)

    threading.Thread(target=watch, args=(worker._global_node,), daemon=True).start()


@contextlib.contextmanager
def deaf_to_sigterm() -> Iterator[None]:
    """The processes of a Ray that the driver starts during the block ignore the signals that are meant for the driver.

    A terminal and `timeout` signal all processes of a group; systemd and SLURM signal all processes of a cgroup. The
    driver then still needs Ray, to stop the trials and to export a detector. Ray's processes therefore get sessions of
    their own and block SIGTERM, as Ray already makes them block SIGINT. They end with the driver all the same: it kills
    them, and if it is killed itself, the kernel does. If the block fails, they are killed at once.
    """
    from ray._private import services, utils

    original: Any = services.ConsolePopen
    set_handler: Any = utils.set_sigterm_handler
    started: list[Any] = []

    class Detached(original):  # type: ignore[misc]
        """A process of Ray with a session of its own, which its children share."""

        def __init__(self, *arguments: Any, preexec_fn: Callable[[], None], **options: Any) -> None:
            def prepare() -> None:
                preexec_fn()
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

            super().__init__(*arguments, preexec_fn=prepare, start_new_session=True, **options)
            started.append(self)

        def terminate(self) -> None:
            """Kills all processes of the session: they block the signal by which Ray would ask them to end."""
            for process in Path("/proc").glob("[0-9]*"):
                number = int(process.name)
                with contextlib.suppress(OSError):  # it has ended in the meantime
                    if number != self.pid and os.getsid(number) == self.pid:
                        os.kill(number, signal.SIGKILL)
            self.kill()

    setattr(services, "ConsolePopen", Detached)  # noqa: B010 - the types of the two classes differ
    # Ray's own handler would end the driver without a word while Ray starts.
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    except BaseException:
        for process in started:  # A Ray that has started only in part would outlive the block.
            process.terminate()
        raise
    finally:
        setattr(services, "ConsolePopen", original)  # noqa: B010
        utils.set_sigterm_handler = set_handler

"""What launch and export do on this machine, for the commands and for Python."""

import functools
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.cli.results import check_eval, export_trial, trial_label
from search.cli.shared_arguments import check_output, open_console, open_run, pushing_run, read_plan

if TYPE_CHECKING:
    from search.prepare.plan import Plan
    from search.runs.output import Output
    from search.runs.run import Run
    from search.runs.storage import Storage


def launch_here(
    space: Path | Mapping[str, Any],
    *,
    changes: list[str],
    storage: str | None,
    name: str | None,
    score_eval: bool,
    address: str | None,
    command: str = "spooftune launch",
    output: "Output | None" = None,
) -> "tuple[Run, int]":
    """The run of a search on this machine or on the cluster that it belongs to, and the exit code.

    Args:
        space: YAML file of the space, or the space as plain data.
        changes: As `launch` has them.
        storage: As `launch` has it.
        name: As `launch` has it.
        score_eval: As `launch` has it.
        address: As `launch` has it.
        command: What asks for the search, for the records of the run.
        output: Where its progress is shown; None: as text on stdout.

    Raises:
        InputError: As for `read_plan` and `run_search`.
        KeyboardInterrupt: The search was interrupted before or after its trials.
    """
    make_quickstart_corpus(space, changes)
    plan = read_plan(space, changes, storage, embedded=address is None, name=name)

    from search.cli.terminal import show_corpus
    from search.prepare.preflight import join_cluster
    from search.runs.interruption import resumable
    from search.runs.lease import owning
    from search.runs.output import Output
    from search.runs.run import Run
    from search.tuning.launch import run_search

    output = output or Output(open_console())
    if address:
        join_cluster(plan, address, output.console)
    eval_command = f"{command} --eval" if score_eval else None
    check_eval(plan, eval_command)
    run = Run.create(plan.storage, prefix=plan.space.name, name=name)
    output.say(f"run {run.name} in {plan.storage}/runs/{run.name}")
    with owning(plan.storage, run.name, command=command) as lease:
        run.hold(lease)
        with resumable(run, plan.storage.option), pushing_run(run, plan):
            show_corpus(plan.sealed(), output.console)
            state = run_search(plan, run, address=address, output=output)
            return run, conclude(run, plan, state, eval_command, output)


def make_quickstart_corpus(space: Path | Mapping[str, Any], changes: list[str]) -> None:
    """Makes the corpus of the quickstart, if the space is that one by its name and the corpus is missing.

    Raises:
        InputError: It cannot be made here, or the space has mistakes.
    """
    from search.space.shipped import QUICKSTART, is_shipped

    if not isinstance(space, Path) or not is_shipped(space, QUICKSTART):
        return
    from search.space.yaml_file import read

    own, changed = (read(space, given).data["corpus"] for given in ([], changes))
    if own != changed or Path(own["path"]).exists():
        return
    from core.demo import build_demo_corpus
    from search.cluster.machine import usable_cpus

    print(f"{own['path']} is missing and is made now", file=sys.stderr, flush=True)
    report = functools.partial(print, file=sys.stderr, flush=True)
    build_demo_corpus(Path(own["path"]), workers=usable_cpus(), report=report)


def conclude(run: "Run", plan: "Plan", state: str, eval_command: str | None, output: "Output") -> int:
    """Shows the trials and exports the best one; returns the exit code.

    Args:
        run: The run.
        plan: Plan of the run.
        state: Final state of the search.
        eval_command: Command that asks for eval; None: eval is not opened. It is not opened after an interruption.
        output: Where the trials and the bundle are shown.
    """
    from search.cli.json_lines import emit_run
    from search.cli.terminal import show_run

    if output.emit:
        emit_run(run, output.emit)
    else:
        show_run(run, output)
    n_failed = sum(trial.status == "failed" for trial in run.journal.trials())
    if n_failed:
        output.say(f"{n_failed} trials failed; the reasons are in {run.path / 'errors'}")
    if not run.ranked():
        print(f"spooftune: run {run.name}: no trial produced a detector", file=sys.stderr)
        return 130 if state == "interrupted" else 1
    bundle = run.free_folder("export")
    ended = state != "interrupted"
    code = export_trial(run, plan, bundle, rank=1, eval_command=eval_command if ended else None, output=output)
    output.say(f"TensorBoard: tensorboard --logdir {shlex.quote(str(run.tensorboard))}")
    output.say(f"to score recordings: spooftune score {shlex.quote(str(bundle))} RECORDING.flac")
    if output.console.quiet and not output.emit:
        print(bundle, flush=True)
    if not ended:
        command = f"spooftune resume {run.name}{plan.storage.option}"
        hint = f"the best detector so far is exported; {command} continues the search"
        hint += ", and eval was not scored" if eval_command else ""
        print(f"spooftune: run {run.name} was interrupted; {hint}", file=sys.stderr)
        return 130
    return code


def export_here(
    run: str,
    storage: "str | Storage | None",
    *,
    changes: list[str],
    output: Path | None,
    rank: int,
    trial: int | None,
    with_weights: bool,
    score_eval: bool,
    changed_corpus: bool = False,
    command: str = "spooftune export",
) -> tuple[Path, int]:
    """The folder of the bundle of a trial, which is exported on this machine, and the exit code.

    Arguments are those of `export`; `command` is what asks for it, for the record of looks at eval.

    Raises:
        InputError: As for `open_run` and `export_trial`.
    """
    check_output(output, empty_folder=True)
    opened, plan = open_run(run, storage, changes)
    folder = output or opened.path / f"export-{trial_label(rank, trial)}"
    with pushing_run(opened, plan):
        eval_command = f"{command} --eval" if score_eval else None
        check_eval(plan, eval_command)
        return folder, export_trial(
            opened,
            plan,
            folder,
            rank=rank,
            number=trial,
            eval_command=eval_command,
            changed_corpus=changed_corpus,
            with_weights=with_weights,
        )

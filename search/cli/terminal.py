"""What the command line shows: plans, runs, trials, scores."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from search.runs.confirmed import best_in_search, confirmed_configurations, half_width
from search.runs.describe import describe_objective, describe_values, trial_table
from search.runs.run import ALIVE, Run
from search.runs.storage import Storage

if TYPE_CHECKING:
    from search.cluster.jobs import Job
    from search.prepare.plan import Plan


def console(*, stderr: bool = False) -> Console:
    """Where a command shows what it does."""
    # A pipe has no width of its own: 80 columns would cut a trial's configuration in pieces. Neither markup nor
    # emoji: a path may hold square brackets and colons.
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, markup=False, emoji=False, width=None if terminal else 200)


def show_plan(plan: "Plan", console: Console, *, n_samples: int = 3) -> None:
    """Prints what a space would do: corpus, parameters, sampled configurations, budget, stores."""
    from search.prepare.checks import resource_problems
    from search.space.configurations import corners, n_configurations
    from search.space.optuna_space import random_values

    space, options = plan.space, plan.space.search

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"space {space.name}: valid")
    say("")
    show_corpus(plan, console)
    say("\nparameters")
    for parameter in space.parameters:
        when = " and ".join(f"{path} is {' or '.join(map(str, values))}" for path, values in parameter.when.items())
        say(f"  {parameter.path}: {parameter.describe()}" + (f", when {when}" if when else ""))
    total = n_configurations(space)
    say(f"  {'a continuum of' if total is None else total} configurations")
    say("\nsampled configurations (drawn uniformly, for a look)")
    for seed in range(n_samples):
        values = random_values(space, seed)
        say(
            "  " + (", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items()) or "-")
        )
    epochs = sorted({space.experiment(values).epochs for values in corners(space)})
    say(f"\nsearch: {plan.n_trials} trials of up to {epochs[-1]} epochs, objective {plan.space.metric} (best epoch)")
    if options.validation.name != "dev":
        what = ", ".join(f"{k}={v}" for k, v in options.validation.options.items())
        say(f"  judged by what is left out of {len(plan.folds)} further trainings: {options.validation.name} {what}")
        for number, fold in enumerate(plan.folds, start=1):
            say(f"    {number}: {fold}")
    say(f"  sampler {options.sampler.name}, scheduler {options.scheduler.name}, seed {options.seed}")
    if options.cost != "none":
        say(f"  the sampler keeps {options.cost} low beside the objective; report shows the Pareto front")
    if options.warm_start:
        say(f"  the sampler learns from runs {', '.join(options.warm_start)}")
    for what, chosen in (
        ("trials are trained in part", options.proxy),
        ("the best are trained again", options.confirm),
    ):
        if chosen.name != "none":
            say(f"  {what}: {', '.join(f'{k} {v}' for k, v in chosen.options.items()) or 'defaults'}")
    limits = {"hours": options.hours, "GPU-hours": options.gpu_hours, "trials without progress": options.patience}
    known = ", ".join(f"{value:g} {what}" for what, value in limits.items() if value) or "none"
    say(f"  {options.cpus} CPU and {options.gpus:g} GPU a trial; limits: {known}")
    for problem in resource_problems(space):
        say(f"  only on a larger machine or a cluster: {problem}")
    say("\nfeature stores")
    for each in plan.stores:
        state = "is there" if each.complete else "to be built"
        size = f"about {each.n_bytes / 1e6:,.1f} MB"
        say(
            f"  {each.experiment.front_end.name} of {each.partition}: {each.n_features}-d, {size}, {state}: {each.path}"
        )


def show_corpus(plan: "Plan", console: Console) -> None:
    """Prints the counts of the partitions that a search reads, and what is odd about them."""
    from search.prepare.plan import SEARCHED_PARTITIONS

    lines = [f"corpus {plan.space.corpus.layout.name} at {plan.space.corpus.path}"]
    for partition in SEARCHED_PARTITIONS:
        n_bona_fide, n_spoof = plan.corpus.counts(partition)
        lines.append(f"  {partition}: {n_bona_fide} bona fide, {n_spoof} spoofed")
    lines.append("  eval: not opened by a search; scored once, with the exported detector")
    lines += [f"  warning: {warning}" for warning in plan.corpus.warnings]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def show_runs(storage: Storage, runs: list[Run], console: Console) -> None:
    """Prints one line a run."""
    if not runs:
        console.print(f"no runs in {storage} yet", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "trials", "best", "created"):
        table.add_column(column, no_wrap=True)
    for run in runs:
        info, trials = run.info(), run.journal.trials()
        finite = [each.objective for each in trials if math.isfinite(each.objective)]
        done = sum(each.status != "running" for each in trials)
        best = describe_objective(info["objective"], min(finite)) if finite else "-"
        table.add_row(run.name, run_state(run), f"{done}/{info['n_trials']}", best, str(info["created"])[:19])
    console.print(table)


def show_run(run: Run, console: Console, *, limit: int = 20) -> None:
    """Prints a run's state and its trials, best first, then those without a result."""
    info, trials, ranked = run.info(), run.journal.trials(), run.ranked()
    console.print(
        f"run {run.name}: {run_state(run)}, {len(trials)} of {info['n_trials']} trials begun", highlight=False
    )
    rest = [each for each in trials if each.number not in {one.number for one in ranked}]
    console.print(trial_table([*ranked, *rest][:limit], info["objective"]))
    if len(trials) > limit:
        console.print(f"and {len(trials) - limit} more; all stand in {run.path / 'trials.jsonl'}", highlight=False)
    show_confirmation(run, console)


def show_confirmation(run: Run, console: Console) -> None:
    """Prints the configurations that were trained again, the one to export first; nothing where there are none."""
    found, objective = confirmed_configurations(run), run.info()["objective"]
    if not found:
        return
    table = Table(box=None, pad_edge=False)
    n_seeds = max(len(each.trainings) + each.n_failed for each in found)
    heads = ("trial", f"{objective} in the search", f"mean of {n_seeds} fresh seeds", "95 % interval", "worst")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("configuration", overflow="fold")

    def shown(value: float) -> str:
        return describe_objective(objective, value, name=False)

    for each in found:
        width, what = each.half_width, describe_values(each.record.values)
        interval = "-" if width is None else " to ".join(sorted(map(shown, (each.mean - width, each.mean + width))))
        if each.n_failed:
            what += f" ({each.n_failed} seeds failed)"
        cells = (str(each.record.number), shown(each.record.objective), shown(each.mean), interval, shown(each.worst))
        table.add_row(*cells, what)
    console.print("trained again with fresh seeds, best by mean first")
    console.print(table)
    best = best_in_search(found)
    if best is not None and run.info().get("proxy") in (None, "none"):
        values = f"search {shown(best.record.objective)}, mean of fresh seeds {shown(best.mean)}"
        console.print(f"selection bias: {values}", highlight=False)


def run_state(run: Run) -> str:
    """The state of a run; one whose process is gone without a word is `interrupted`."""
    state = str(run.info()["state"])
    return state if state not in ALIVE or run.alive() else "interrupted"


def show_measured(measured: dict[str, Any], console: Console) -> None:
    """Prints the metrics of an exported detector on each partition, per attack."""
    for partition, values in measured.items():
        counts = f"{values['n_bona_fide']} bona fide, {values['n_spoof']} spoofed"
        note = "chose the detector" if partition == "dev" else "looked at once, after the choice"
        console.print(
            f"{partition} ({note}): EER {eer_in_words(values)}, AUC {values['auc']:.4f} ({counts})",
            highlight=False,
            soft_wrap=True,
        )
        if "eer_by_seed" in values:
            console.print(f"  {seeds_in_words(values['eer_by_seed'])}", highlight=False, soft_wrap=True)
        attacks = ", ".join(f"{attack} {100 * rate:.1f}" for attack, rate in values["eer_per_attack"].items())
        console.print(f"  EER % per attack: {attacks}", highlight=False, soft_wrap=True)


def seeds_in_words(rates: Sequence[float]) -> str:
    """EERs of several seeds, such as `5 seeds: mean EER 24.1 % (95 %: 22.0 to 26.2), from 22.9 to 26.0`."""
    mean, half = 100 * sum(rates) / len(rates), half_width(rates)
    interval = "" if half is None else f" (95 %: {mean - 100 * half:.2f} to {mean + 100 * half:.2f})"
    return f"{len(rates)} seeds: mean EER {mean:.2f} %{interval}, from {100 * min(rates):.2f} to {100 * max(rates):.2f}"


def eer_in_words(measured: Mapping[str, Any]) -> str:
    """An EER with its intervals, such as `24.08 % (95 %: 20.1 to 28.3 over utterances, 16.0 to 33.1 over speakers)`."""
    intervals = [
        f"{100 * measured[key][0]:.1f} to {100 * measured[key][1]:.1f} over {what}"
        for key, what in (("eer_interval", "utterances"), ("eer_interval_speakers", "speakers"))
        if key in measured
    ]
    known = f" (95 %: {', '.join(intervals)})" if intervals else ""
    return f"{100 * measured['eer']:.2f} %{known}"


def show_jobs(jobs: "list[Job]", console: Console) -> None:
    """Prints one line a job of a cluster, oldest first."""
    if not jobs:
        console.print("no searches on this cluster yet", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "job", "state", "began", "storage"):
        table.add_column(column, no_wrap=True)
    for each in jobs:
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(each.began)) if each.began else "-"
        table.add_row(each.run, each.id, each.state.lower(), began, each.storage)
    console.print(table)


def show_events(run: Run, number: int | None, console: Console) -> None:
    """Prints what happened in a run, a line an event; of one trial with the text of its error."""
    for each in run.journal.events():
        if number is not None and each["trial"] != number:
            continue
        metrics = each.get("metrics") or {}
        told = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items() if isinstance(value, float))
        what = {"start": str(each.get("values", "")), "epoch": f"{each.get('epoch')}: {told}"}
        ended = f"{each.get('status')}{': ' + each['error'] if each.get('error') else ''}"
        line = f"{str(each['time'])[:19]} trial {each['trial']} {each['event']} {what.get(each['event'], ended)}"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    error = run.path / "errors" / f"{number:05d}.txt" if number is not None else None
    if error and error.is_file():
        console.print(error.read_text(encoding="utf-8"), highlight=False, markup=False, soft_wrap=True)


def show_evaluation(result: dict[str, Any]) -> str:
    """The result of `evaluate` for people: rates in per cent, every digit that a comparison may need."""
    lines = [
        f"{result['scores']}: {result['n_bona_fide']} bona fide, {result['n_spoof']} spoofed",
        f"EER            {100 * result['eer']:.9f} %   at threshold {result['threshold']:.6g}",
        *(
            f"  95 % interval {100 * result[key][0]:.3f} to {100 * result[key][1]:.3f} %   over {what}"
            for key, what in (("eer_interval", "utterances"), ("eer_interval_speakers", "speakers"))
            if key in result
        ),
        f"AUC            {result['auc']:.9f}",
    ]
    if "compared_with" in result:
        lines.append(f"{result['compared_with']}: EER {100 * result['other_eer']:.9f} %")
        for key, what in (("difference", "utterances"), ("difference_speakers", "speakers")):
            if key in result:
                low, high = (100 * end for end in result[key]["interval"])
                lines.append(
                    f"  difference {100 * result[key]['eer']:+.3f} points, 95 % {low:+.3f} to {high:+.3f}, "
                    f"p = {result[key]['p_value']:.3f}   paired, over {what}"
                )
    for year in ("2019", "2021"):
        if f"min_tdcf_{year}" in result:
            lines.append(f"min t-DCF {year} {result[f'min_tdcf_{year}']:.12f}")
    if "min_tdcf_2019" not in result:
        lines.append("min t-DCF      needs the ASV's errors: --asv-scores F, or --asv-rates la19-dev or la19-eval")
    if "eer_per_attack" in result:
        lines.append("EER per attack")
        lines += [f"  {attack:<12} {100 * rate:.3f} %" for attack, rate in result["eer_per_attack"].items()]
    return "\n".join(lines)

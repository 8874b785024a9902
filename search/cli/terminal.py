"""Output of the commands: plans, runs, trials, jobs, events."""

import math
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from search.runs.confirmed import best_in_search, confirmed_configurations, race_of
from search.runs.describe import brief_values, describe_objective, describe_value, describe_values, trial_table
from search.runs.output import Output
from search.runs.run import Run
from search.runs.storage import Storage

if TYPE_CHECKING:
    from search.cluster.jobs import Job
    from search.prepare.plan import Plan


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """The console of a command.

    Args:
        stderr: Whether it writes to stderr instead of stdout.
        quiet: Whether it writes nothing.
    """
    # A pipe has no width, and 80 columns would break a trial's configuration into pieces. Markup and emoji are off
    # because a path may contain square brackets and colons.
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, quiet=quiet, markup=False, emoji=False, width=None if terminal else 200)


def show_plan(plan: "Plan", console: Console, *, n_samples: int = 3) -> None:
    """Prints what a search of a space would do: corpus, hyperparameters, sampled configurations, budget, stores.

    Args:
        plan: The plan of the space.
        console: Where it is printed.
        n_samples: Number of sampled configurations.
    """
    from search.prepare.checks import resource_problems
    from search.space.configurations import baseline, corners, n_configurations
    from search.space.optuna_space import random_values

    space, options = plan.space, plan.space.search

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    say(f"space {space.name}: valid")
    say("")
    show_corpus(plan, console)
    say("\nhyperparameters")
    for parameter in space.parameters:
        condition = " and ".join(
            f"{path} is {' or '.join(map(str, values))}" for path, values in parameter.when.items()
        )
        prior = f", prior {describe_value(parameter.prior.value)}" if parameter.prior else ""
        say(f"  {parameter.path}: {parameter.describe()}{prior}" + (f", when {condition}" if condition else ""))
    total = n_configurations(space)
    say(f"  {'infinitely many' if total is None else total} configurations")
    if options.baseline and options.sampler.name != "grid":
        say("\nfirst trial (priors, and defaults where the space states none)")
        say(f"  {describe_values(baseline(space)) or '-'}")
    say("\nexamples of configurations (drawn uniformly)")
    for seed in range(n_samples):
        say(f"  {describe_values(random_values(space, seed)) or '-'}")
    epochs = sorted({space.experiment(values).epochs for values in corners(space)})
    say(f"\nsearch: {plan.n_trials} trials of up to {epochs[-1]} epochs, objective {plan.space.metric} (best epoch)")
    n_train = sum(plan.corpus.counts("train"))
    experiments = map(space.experiment, corners(space))
    if n_steps := max(experiment.epochs * experiment.n_steps(n_train) for experiment in experiments):
        say(f"  up to {n_steps:,} steps per trial (minibatches); the paper's training has 19,800")
    if options.validation.name != "dev":
        given = describe_values(dict(options.validation.options))
        say(f"  validation: {options.validation.name} {given}".rstrip() + f", {len(plan.folds)} further trainings")
        for number, fold in enumerate(plan.folds, start=1):
            say(f"    fold {number}: {fold}")
    say(f"  sampler {options.sampler.name}, scheduler {options.scheduler.name}, seed {options.seed}")
    if options.cost != "none":
        say(f"  second objective of the sampler: {options.cost}; spooftune report shows the Pareto front")
    if options.warm_start:
        say(f"  warm start: the sampler learns from the trials of {', '.join(options.warm_start)}")
    for step, block in (
        ("proxy (partial training of the trials)", options.proxy),
        ("confirmation (retraining with fresh seeds)", options.confirm),
    ):
        if block.name != "none":
            say(f"  {step}: {', '.join(f'{key} {value}' for key, value in block.options.items()) or 'defaults'}")
    limits = {"hours": options.hours, "GPU-hours": options.gpu_hours, "trials without improvement": options.patience}
    set_limits = ", ".join(f"{value:g} {unit}" for unit, value in limits.items() if value) or "none"
    say(f"  {options.cpus} CPU and {options.gpus:g} GPU per trial; limits: {set_limits}")
    for problem in resource_problems(space):
        say(f"  needs a larger machine or a cluster: {problem}")
    say("\nfeature stores")
    for store in plan.stores:
        state = "features cached" if store.complete else "not built yet"
        layers = f"{len(store.layers)} layers of " if len(store.layers) > 1 else ""
        content = f"{layers}{store.n_features} features per frame, about {store.n_bytes / 1e6:,.1f} MB, {state}"
        say(f"  {store.experiment.front_end.name} of {store.partition}: {content}: {store.path}")


def show_corpus(plan: "Plan", console: Console) -> None:
    """Prints the number of utterances in the partitions that a search reads, and warnings about the corpus."""
    from search.prepare.plan import SEARCHED_PARTITIONS

    lines = [f"corpus {plan.space.corpus.layout.name} at {plan.space.corpus.path}"]
    for partition in SEARCHED_PARTITIONS:
        n_bona_fide, n_spoof = plan.corpus.counts(partition)
        lines.append(f"  {partition}: {n_bona_fide} bona fide, {n_spoof} spoofed")
    lines.append("  eval: not opened by the search")
    lines += [f"  warning: {warning}" for warning in plan.corpus.warnings]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def show_runs(storage: Storage, runs: list[Run], console: Console) -> None:
    """Prints one line per run."""
    if not runs:
        console.print(f"no runs in {storage} yet", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "trials", "best", "created"):
        table.add_column(column, no_wrap=True)
    for run in runs:
        info, trials = run.info(), run.journal.trials()
        finite = [trial.objective for trial in trials if math.isfinite(trial.objective)]
        ended = sum(trial.status != "running" for trial in trials)
        best = describe_objective(info["objective"], min(finite)) if finite else "-"
        table.add_row(run.name, run.state(), f"{ended}/{info['n_trials']}", best, str(info["created"])[:19])
    console.print(table)


def show_run(run: Run, output: Output, *, limit: int = 20) -> None:
    """Prints the state of a run, its trials and its confirmation.

    Args:
        run: The run.
        output: Where it is printed.
        limit: Maximum number of trials: the best first, then those without a result.
    """
    console, info, trials = output.console, run.info(), run.by_rank()
    console.print(f"run {run.name}: {run.state()}, {len(trials)} of {info['n_trials']} trials started", highlight=False)
    console.print(trial_table(trials[:limit], info["objective"], one_line=output.one_line))
    if len(trials) > limit:
        console.print(f"and {len(trials) - limit} more; {run.path / 'trials.jsonl'} has all", highlight=False)
    show_confirmation(run, console, one_line=output.one_line)


def show_confirmation(run: Run, console: Console, *, one_line: bool = False) -> None:
    """Prints the configurations that were retrained with fresh seeds, the one to export first; nothing without them.

    The selection bias follows, unless the search trained with a proxy: then the two values are not comparable.

    Args:
        run: The run.
        console: Where they are printed.
        one_line: Whether a configuration takes one line, in brief.
    """
    configurations, objective = confirmed_configurations(run), run.info()["objective"]
    if not configurations:
        return
    table = Table(box=None, pad_edge=False)
    n_seeds = max(len(configuration.trainings) + configuration.n_failed for configuration in configurations)
    race = race_of(run)
    mean_head = "mean of fresh seeds" if race else f"mean of {n_seeds} fresh seeds"
    heads = ("trial", f"{objective} in the search", mean_head, "95 % interval", "worst seed")
    if one_line:
        heads = ("trial", "search", "mean", "95 % interval", "worst")
    for head in (*heads, "seeds") if race else heads:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("configuration", overflow="ellipsis" if one_line else "fold", no_wrap=one_line)

    def shown(value: float) -> str:
        return describe_objective(objective, value, name=False)

    for configuration in configurations:
        record, mean, width = configuration.record, configuration.mean, configuration.half_width
        interval = "-" if width is None else " to ".join(sorted(map(shown, (mean - width, mean + width))))
        values = (brief_values if one_line else describe_values)(record.values)
        if configuration.n_failed:
            values += f" ({configuration.n_failed} seeds failed)"
        results = (shown(record.objective), shown(mean), interval, shown(configuration.worst))
        n_seeds_here = [str(len(configuration.trainings))] if race else []
        table.add_row(str(record.number), *results, *n_seeds_here, values)
    title = "confirmation: configurations retrained with fresh seeds, best mean first"
    console.print(f"{title}; {objective}" if one_line else title)
    console.print(table)
    if race:
        console.print(race.words, highlight=False)
    best = best_in_search(configurations)
    if best is not None and run.info().get("proxy") in (None, "none"):
        bias = f"search {shown(best.record.objective)}, mean of fresh seeds {shown(best.mean)}"
        console.print(f"selection bias: {bias}", highlight=False)


def show_jobs(jobs: "list[Job]", console: Console) -> None:
    """Prints one line per job of a cluster, in the given order; times are UTC."""
    if not jobs:
        console.print("no searches on this cluster yet", highlight=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("run", "job", "state", "started", "storage"):
        table.add_column(column, no_wrap=True)
    for job in jobs:
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(job.began)) if job.began else "-"
        table.add_row(job.run, job.id, job.state.lower(), started, job.storage)
    console.print(table)

"""Writes the report of a run: tables in four forms, and figures, also for TensorBoard."""

import dataclasses
import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from core.atomic import replacing
from core.config import experiment_to_plain
from core.cost import Cost, cost_of
from core.errors import InputError
from core.evaluation.tandem import AsvErrorRates
from search.methods.confirmations import NUMBER_STRIDE
from search.prepare.identity import check_identity, placed_experiment
from search.prepare.plan import Plan, StorePlan
from search.prepare.stores import store_opener
from search.report.detector_tables import (
    bundles_of,
    bundles_table,
    confirmation_data,
    confirmation_table,
    exported_seeds,
    seeds_table,
)
from search.report.figures import draw_embeddings, draw_scores, draw_search
from search.report.importance import importances
from search.report.layers import layer_weights_of, layer_weights_table, layers_table
from search.report.paper import PAPER
from search.report.scoring import Place, Result, score_trials
from search.report.tables import (
    Table,
    as_csv,
    as_markdown,
    as_text,
    attacks_table,
    comparison_table,
    cost_table,
    importance_table,
    paper_table,
    results_table,
)
from search.runs.confirmed import confirmed_configurations, race_data, race_of
from search.runs.eval_looks import EvalAct, looks, n_looks
from search.runs.journal import TrialRecord, finite, now
from search.runs.run import Run
from search.space.space import Space, store_name

MAX_COMPARED_TRIALS = 20
"""Maximum number of trials in a comparison with the best one, itself included."""

COST_FIELDS = ("front_end", "input", "mode", "backbone", "classifier", "head", "gmm")
"""Fields of an experiment on which the cost of its detector depends."""


@dataclass(frozen=True)
class ReportOptions:
    """Contents of a report.

    Attributes:
        partitions: Partitions on which the trials are scored, dev first.
        top: Number of trials, the best ones; None = all.
        asv: Error rates of the ASV by partition, for min t-DCF.
        figures: Whether to draw figures.
        cost: Whether to measure the cost of the detectors.
        tsne: Whether to draw the embeddings of the best trial; only with `figures`.
    """

    partitions: tuple[str, ...] = ("dev",)
    top: int | None = None
    asv: Mapping[str, AsvErrorRates] | None = None
    figures: bool = True
    cost: bool = True
    tsne: bool = False


def write_report(run: Run, plan: Plan, folder: Path, options: ReportOptions, console: Console) -> dict[str, str]:
    """Writes the report of a run into a new folder.

    Args:
        run: The run.
        plan: Plan of the run; names the corpus and the stores.
        folder: Folder of the report.
        options: Contents of the report.
        console: Where progress is shown.

    Returns:
        The tables by form: `text`, `markdown`, `csv`, `json`.

    Raises:
        InputError: Corpus or weights are not those of the launch, the folder exists, no trial has a detector, or a
            partition is missing.
    """
    if folder.exists():
        raise InputError(f"--output {folder}: exists already and was not changed; choose another --output")
    check_identity(run, plan)
    whole = (record for record in run.ranked() if run.checkpoint(record.number))
    ranked = list(itertools.islice(whole, options.top))
    if not ranked:
        raise InputError(f"run {run.name}: no trial has a detector yet, so a report has no content")
    store_of = store_opener(plan if "eval" in options.partitions else plan.sealed(), run, console=console)
    place: Place = functools.partial(placed_experiment, run=run, plan=plan)
    configurations, bundles = confirmed_configurations(run), bundles_of(run)
    confirmation = run.confirmation()
    trainings = [training for configuration in configurations for training in configuration.trainings]
    trainings = [training for training in trainings if confirmation.checkpoint(training.number)]
    names = [f"trial {record.number}" for record in ranked] + [seed_name(training) for training in trainings]
    act = EvalAct(run.path, command="spooftune report --eval", detectors=names, corpus=plan.corpus.name)
    score: Any = functools.partial(
        score_trials,
        corpus=plan.corpus,
        store_of=store_of,
        partitions=options.partitions,
        asv=options.asv or {},
        act=act,
        place=place,
        console=console,
    )
    results = score(run, ranked)
    retrained = score(confirmation, trainings)
    if act.number is not None:
        rates = [result.measured["eval"]["eer"] for result in [*results, *retrained]]
        act.end(dict(zip(names, rates, strict=True)))
    by_seed = {result.record.number: result for result in retrained}
    tables = []
    if bundles:
        tables.append(bundles_table(bundles))
    if configurations:
        comparable = run.info().get("proxy") in (None, "none")
        exported, race = exported_seeds(bundles), race_of(run)
        tables.append(confirmation_table(configurations, plan.space.metric, exported, comparable=comparable, race=race))
        tables.append(seeds_table(configurations, by_seed, options.partitions))
    tables.append(results_table(results, options.partitions))
    tables += [attacks_table(results, partition) for partition in options.partitions]
    if len(results) > 1:
        tables += [comparison_table(results[:MAX_COMPARED_TRIALS], partition) for partition in options.partitions]
    costs = measure_costs(plan.space, plan.stores, ranked, console) if options.cost else {}
    if costs:
        tables.append(cost_table(ranked, costs, plan.space.metric))
    trials = run.journal.trials()
    by_layer, weights = layers_table(trials, plan.space.metric), layer_weights_of(run, ranked)
    tables += [by_layer] if by_layer else []
    tables += [layer_weights_table(weights)] if weights else []
    ranked_importances = importances(plan.space, trials)
    if ranked_importances:
        tables.append(importance_table(ranked_importances))
    paper = PAPER.get(plan.space.name)
    if paper is not None:
        tables.insert(0, paper_table(paper, results))
    data = {
        **report_data(run, results, tables),
        "exported": bundles,
        "layer_weights": weights,
        "confirmation": [confirmation_data(configuration, by_seed) for configuration in configurations],
        "race": race_data(run),
    }
    forms = {
        "text": "\n".join([*map(as_text, tables), about_looks(run), ""]),
        "markdown": "\n".join([f"# Run {run.name}", "", about_looks(run), "", *map(as_markdown, tables)]),
        "csv": "\n".join(map(as_csv, tables)),
        "json": json.dumps(finite(data), indent=2, allow_nan=False) + "\n",
    }
    endings = {"text": "txt", "markdown": "md", "csv": "csv", "json": "json"}
    try:
        folder.mkdir(parents=True)
        for form, text in forms.items():
            with replacing(folder / f"report.{endings[form]}") as temporary:
                temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: the report could not be written: {error}") from error
    if options.figures:
        draw_scores(run, results, options.partitions, folder)
        if options.tsne:
            partition = "eval" if "eval" in options.partitions else "dev"
            record = results[0].record
            draw_embeddings(run, record, partition, folder, store_of=store_of, place=place, console=console)
        draw_search(run, plan.space, ranked, costs, ranked_importances, folder, layer_weights=weights)
    return forms


def seed_name(training: TrialRecord) -> str:
    """Name of a training of a confirmation, such as `trial 3, fresh seed 1`."""
    trial, seed = divmod(training.number, NUMBER_STRIDE)
    return f"trial {trial}, fresh seed {seed}"


def about_looks(run: Run) -> str:
    """A sentence about how often eval was looked at."""
    recorded, number = looks(run.path), n_looks(run.path)
    if not number:
        return "Eval was not looked at in this run."
    last = f"; the last by {recorded[-1].command} at {recorded[-1].at[:19]} UTC" if recorded else ""
    return f"Looks at eval in this run: {number}{last}."


def measure_costs(
    space: Space, stores: Sequence[StorePlan], records: Sequence[TrialRecord], console: Console
) -> dict[int, Cost]:
    """Cost of the detectors of trials, by number of the trial. Configurations that cost the same are measured once.

    Args:
        space: The space that was searched.
        stores: Its feature stores; they give the layers and the number of features per frame.
        records: The trials.
        console: Where progress is shown.
    """
    planned = {store_name(store.experiment): store for store in stores}
    known: dict[str, Cost] = {}
    costs: dict[int, Cost] = {}
    console.print(f"measuring the cost of {len(records)} detectors", highlight=False)
    for record in records:
        experiment = space.experiment(record.values)
        key = json.dumps({name: experiment_to_plain(experiment)[name] for name in COST_FIELDS}, sort_keys=True)
        if key not in known:
            store = planned[store_name(experiment)]
            known[key] = cost_of(experiment, store.n_features, store.layers)
        costs[record.number] = known[key]
    return costs


def report_data(run: Run, results: Sequence[Result], tables: Sequence[Table]) -> dict[str, Any]:
    """The report as plain data: unrounded metrics of the trials, and the tables as they are shown."""
    trials = [
        {
            "trial": result.record.number,
            "values": result.record.values,
            "epoch": result.epoch,
            "seconds": result.record.seconds,
            "metrics": {partition: dict(values) for partition, values in result.measured.items()},
        }
        for result in results
    ]
    plain_tables = [{"title": table.title, "columns": table.columns, "rows": table.rows} for table in tables]
    acts = [dataclasses.asdict(look) for look in looks(run.path)]
    return {
        "run": run.name,
        "created": now(),
        "eval_looks": n_looks(run.path),
        "looks": acts,
        "trials": trials,
        "tables": plain_tables,
    }

"""Tables of the detectors that a run hands over: its bundles, and the configurations retrained with fresh seeds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import InputError
from search.methods.confirmations import NUMBER_STRIDE
from search.report.scoring import Result
from search.report.tables import Table
from search.runs.confirmed import ConfirmedConfiguration, Race, best_in_search, half_width
from search.runs.describe import describe_objective, describe_values
from search.runs.run import Run


def bundles_of(run: Run) -> list[dict[str, Any]]:
    """What the bundles in the folder of a run say of themselves, oldest first: `folder`, `metrics`, `provenance`.

    Bundles in other folders are not known to the run.

    Raises:
        InputError: The configuration of a bundle cannot be read.
    """
    bundles = []
    for path in run.path.glob("export*/config.json"):
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            plain = {key: config[key] for key in ("metrics", "provenance")}
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path}: the bundle cannot be read: {error}") from error
        bundles.append({"folder": path.parent.name, **plain})
    return sorted(bundles, key=lambda bundle: (str(bundle["provenance"].get("created")), bundle["folder"]))


def bundles_table(bundles: Sequence[Mapping[str, Any]]) -> Table:
    """One row per exported bundle: which training it is, and its EER on dev and eval with intervals."""
    rows = []
    for bundle in bundles:
        provenance, metrics = bundle["provenance"], bundle["metrics"]
        confirmation = provenance.get("confirmation")
        training = f"fresh seed {confirmation['seed_index']}" if confirmation else "of the search"
        cells = [_eer(metrics.get(partition)) for partition in ("dev", "eval")]
        look = metrics.get("eval", {}).get("look", "-")
        rows.append((bundle["folder"], str(provenance["trial"]), training, *cells, str(look)))
    heads = ("bundle", "trial", "training", "dev EER % (95 % over utterances)", "eval EER %", "look at eval")
    return Table("Exported detectors", heads, tuple(rows))


def confirmation_table(
    configurations: Sequence[ConfirmedConfiguration],
    objective: str,
    exported: Mapping[int, int],
    *,
    comparable: bool,
    race: Race | None = None,
) -> Table:
    """One row per configuration that was retrained: its value in the search, and the results of its fresh seeds.

    Args:
        configurations: The configurations, best mean first.
        objective: Key of METRICS.
        exported: Index of the exported seed by number of the trial; only trials that were exported.
        comparable: Whether the search trained as the confirmation does, without a proxy. Otherwise the title does not
            compare their values.
        race: How many trainings a race took; None: every configuration got all seeds.
    """

    def shown(value: float) -> str:
        return describe_objective(objective, value, name=False)

    rows = []
    for configuration in configurations:
        record, width = configuration.record, configuration.half_width
        ends = [] if width is None else sorted(map(shown, (configuration.mean - width, configuration.mean + width)))
        seeds = str(len(configuration.trainings))
        if configuration.n_failed:
            seeds += f" ({configuration.n_failed} failed)"
        seed = exported.get(record.number)
        cells = (shown(record.objective), shown(configuration.mean), " to ".join(ends) or "-", seeds)
        last = (shown(configuration.worst), "-" if seed is None else f"seed {seed}", describe_values(record.values))
        rows.append((str(record.number), *cells, *last))
    heads = (
        "trial",
        f"{objective} in the search",
        "mean of fresh seeds",
        "95 % interval of the mean",
        "seeds",
        "worst seed",
        "exported",
        "configuration",
    )
    title, best = "Configurations retrained with fresh seeds", best_in_search(configurations)
    if best is not None and comparable:
        title += f"; selection bias: search {shown(best.record.objective)}, mean of fresh seeds {shown(best.mean)}"
    if race is not None:
        title += f"; {race.words}"
    return Table(title, heads, tuple(rows))


def seeds_table(
    configurations: Sequence[ConfirmedConfiguration], results: Mapping[int, Result], partitions: Sequence[str]
) -> Table:
    """One row per retrained configuration: EER of its seeds on every partition, as mean, interval and worst seed.

    Args:
        configurations: The configurations, best mean first.
        results: Results of the trainings by their number in the confirmation. A training without a whole checkpoint
            has none.
        partitions: Partitions on which they were scored.
    """
    rows = []
    for configuration in configurations:
        scored = [results[training.number] for training in configuration.trainings if training.number in results]
        if not scored:
            continue
        cells = []
        for partition in partitions:
            rates = [result.measured[partition]["eer"] for result in scored]
            mean, width = sum(rates) / len(rates), half_width(rates)
            interval = "-" if width is None else f"{100 * (mean - width):.1f} to {100 * (mean + width):.1f}"
            cells += [f"{100 * mean:.2f}", interval, f"{100 * max(rates):.2f}"]
        rows.append((str(configuration.record.number), str(len(scored)), *cells))
    heads = [f"{partition} {head}" for partition in partitions for head in ("EER %", "95 % interval", "worst seed")]
    return Table(
        "EER of the fresh seeds (mean, Student's interval of the mean)", ("trial", "seeds", *heads), tuple(rows)
    )


def confirmation_data(configuration: ConfirmedConfiguration, results: Mapping[int, Result]) -> dict[str, Any]:
    """A retrained configuration as plain data, with unrounded values."""
    return {
        "trial": configuration.record.number,
        "values": configuration.record.values,
        "in_search": configuration.record.objective,
        "mean": configuration.mean,
        "half_width": configuration.half_width,
        "worst": configuration.worst,
        "failed_seeds": configuration.n_failed,
        "seeds": [
            {
                "index": training.number % NUMBER_STRIDE,
                "objective": training.objective,
                "metrics": {name: dict(values) for name, values in results[training.number].measured.items()},
            }
            for training in configuration.trainings
            if training.number in results
        ],
    }


def exported_seeds(bundles: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Index of the exported fresh seed by number of the trial, from the bundles of a run; the latest bundle counts."""
    return {
        bundle["provenance"]["trial"]: bundle["provenance"]["confirmation"]["seed_index"]
        for bundle in bundles
        if "confirmation" in bundle["provenance"]
    }


def _eer(values: Mapping[str, Any] | None) -> str:
    if values is None:
        return "-"
    low, high = values.get("eer_interval", (None, None))
    interval = "" if low is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * values['eer']:.2f}{interval}"

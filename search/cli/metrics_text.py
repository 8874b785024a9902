"""Output of the commands that measure: metrics of an exported detector and of a score file."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from search.runs.confirmed import half_width


def show_metrics(measured: dict[str, Any], console: Console) -> None:
    """Prints the metrics of an exported detector.

    Args:
        measured: Metrics by partition, as `core.evaluation.measure.measure` returns them; `eer_by_seed` has the EERs of
            the fresh seeds, and `look` the number of the look at eval.
        console: Where they are printed.
    """
    from core.evaluation.measure import swapped_sign

    for partition, values in measured.items():
        counts = f"{values['n_bona_fide']} bona fide, {values['n_spoof']} spoofed"
        note = "used for selection" if partition == "dev" else f"after selection; look {values['look']} at eval"
        console.print(
            f"{partition} ({note}): EER {describe_eer(values)}, AUC {values['auc']:.4f} ({counts})",
            highlight=False,
            soft_wrap=True,
        )
        warning = swapped_sign(values)
        if warning:
            console.print(f"  warning: {warning}", highlight=False, soft_wrap=True)
        if "eer_by_seed" in values:
            console.print(f"  {describe_seeds(values['eer_by_seed'])}", highlight=False, soft_wrap=True)
        attacks = ", ".join(f"{attack} {100 * rate:.1f}" for attack, rate in values["eer_per_attack"].items())
        console.print(f"  EER % per attack: {attacks}", highlight=False, soft_wrap=True)


def describe_seeds(rates: Sequence[float]) -> str:
    """EERs of several seeds, such as `3 seeds: mean EER 22.00 % (95 % interval: 17.03 to 26.97), from 20.00 to 24.00`.

    Args:
        rates: EERs as fractions in [0, 1]. With fewer than three the interval is left out.
    """
    mean, half = 100 * sum(rates) / len(rates), half_width(rates)
    interval = "" if half is None else f" (95 % interval: {mean - 100 * half:.2f} to {mean + 100 * half:.2f})"
    return f"{len(rates)} seeds: mean EER {mean:.2f} %{interval}, from {100 * min(rates):.2f} to {100 * max(rates):.2f}"


def describe_eer(measured: Mapping[str, Any]) -> str:
    """An EER with its intervals, such as `24.08 % (95 % interval: 20.1 to 28.3 over utterances, 12.4 to 40.2 over 10
    speakers)`.

    Args:
        measured: Metrics of one partition.
    """
    intervals = [f"{100 * low:.1f} to {100 * high:.1f} over {unit}" for (low, high), unit in _intervals(measured)]
    if "no_interval_speakers" in measured:
        intervals.append(f"none over {measured['n_speakers']} speakers")
    brackets = f" (95 % interval: {', '.join(intervals)})" if intervals else ""
    return f"{100 * measured['eer']:.2f} %{brackets}"


def describe_evaluation(result: dict[str, Any], *, hints: bool = True) -> str:
    """The result of `search.report.evaluate.evaluate` as text: rates in per cent, with nine digits for comparisons.

    Args:
        result: The result.
        hints: Whether options of `spooftune evaluate` are named for metrics that are missing.
    """
    lines = [
        f"{result['scores']}: {result['n_bona_fide']} bona fide, {result['n_spoof']} spoofed",
        f"EER            {100 * result['eer']:.9f} %   at threshold {result['threshold']:.6g}",
        *(
            f"  95 % interval {100 * low:.3f} to {100 * high:.3f} %   over {unit}"
            for (low, high), unit in _intervals(result)
        ),
        *(
            [f"  no interval over speakers: {result['no_interval_speakers']}"]
            if "no_interval_speakers" in result
            else []
        ),
        f"AUC            {result['auc']:.9f}",
        *_costs(result),
    ]
    if "compared_with" in result:
        lines.append(f"{result['compared_with']}: EER {100 * result['other_eer']:.9f} %")
        for key, unit in (("difference", "utterances"), ("difference_speakers", "speakers")):
            if key in result:
                low, high = (100 * end for end in result[key]["interval"])
                difference, p_value = 100 * result[key]["eer"], result[key]["p_value"]
                interval = f"95 % interval {low:+.3f} to {high:+.3f}, p = {p_value:.3f}"
                lines.append(f"  difference {difference:+.3f} points, {interval}   paired over {unit}")
    for year in ("2019", "2021"):
        if f"min_tdcf_{year}" in result:
            lines.append(f"min t-DCF {year} {result[f'min_tdcf_{year}']:.12f}")
    if hints and "min_tdcf_2019" not in result:
        lines.append("min t-DCF      needs ASV error rates: --asv-scores FILE, or --asv-rates la19-eval or another")
    if "by_attack" in result:
        lines += _table("attack", result["by_attack"])
    for condition, values in result.get("by_condition", {}).items():
        lines += _table(condition, values)
    return "\n".join(lines)


def _costs(result: Mapping[str, Any]) -> list[str]:
    """The lines about detection costs and log-likelihood ratios."""
    costs = result["dcf_costs"]
    of = f"Pspoof {costs['p_spoof']:g}, Cmiss {costs['miss']:g}, Cfa {costs['false_alarm']:g}"
    read = f"calibrated on {result['calibration']['fitted_on']}" if "calibration" in result else "scores read as LLRs"
    lines = [
        f"min DCF        {result['min_dcf']:.9f}   ({of})",
        f"act DCF        {result['act_dcf']:.9f}   ({read})",
        f"Cllr           {result['cllr']:.9f} bits   ({read}); at best {result['min_cllr']:.9f}",
    ]
    if "t_eer" in result:
        lines.append(f"t-EER          {100 * result['t_eer']:.9f} %")
    if "a_dcf" in result:
        lines.append(f"a-DCF          {result['a_dcf']:.9f}   (priors and costs of ASVspoof 5)")
    return lines


def _table(head: str, groups: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Metrics of every attack or of every value of a condition, one line each."""
    width = max(12, *(len(name) for name in groups))
    lines = [f"by {head:<{width}}    EER %  min DCF  act DCF     Cllr  bona fide  spoofed"]
    for name, values in groups.items():
        counts = f"{values['n_bona_fide']:>9}  {values['n_spoof']:>7}"
        if "eer" in values:
            rates = "  ".join(f"{values[key]:7.4f}" for key in ("min_dcf", "act_dcf", "cllr"))
            lines.append(f"  {name:<{width}}  {100 * values['eer']:8.3f}  {rates}  {counts}")
        else:
            lines.append(f"  {name:<{width}}  {'-':>8}  {'-':>7}  {'-':>7}  {'-':>7}  {counts}")
    return lines


def _intervals(measured: Mapping[str, Any]) -> list[tuple[Sequence[float], str]]:
    """The intervals of an EER with the units over which they hold."""
    units = (("eer_interval", "utterances"), ("eer_interval_speakers", f"{measured.get('n_speakers')} speakers"))
    return [(measured[key], unit) for key, unit in units if key in measured]

"""The model card of a bundle."""

from collections.abc import Mapping
from typing import Any

from core.bundle.metadata import card_metadata
from core.evaluation.measure import swapped_sign
from core.evaluation.objectives import METRICS


def _about_eval(config: Mapping[str, Any]) -> str:
    """Sentences of the model card about how often eval was looked at."""
    n_looks = int(config["provenance"].get("eval_looks", 0))
    if "eval" not in config["metrics"]:
        before = f" The run had looked at eval before, in {n_looks} acts." if n_looks else ""
        return f"Eval was not looked at with this detector.{before}"
    look = config["metrics"]["eval"].get("look", n_looks)
    return (
        f"The search did not open eval. The figures on eval are those of look {look} of its run at eval; a change that "
        "was made after an earlier look would be a choice by eval."
    )


def _layers(config: Mapping[str, Any]) -> str:
    """The layers that a detector reads, in words for the model card; empty if its front end has none."""
    layers, layer = config.get("layers", ()), config["experiment"]["input"].get("layer", "mean")
    if not layers:
        return ""
    if len(layers) == 1:
        return f" (layer {layers[0]})"
    if layer == "mix":
        parts = (f"{number} ({100 * weight:.1f} %)" for number, weight in config["layer_weights"].items())
        return f" (learned mix of the layers {', '.join(parts)})"
    return f" ({'mean of the' if layer == 'mean' else 'the'} layers {', '.join(map(str, layers))})"


def model_card(config: Mapping[str, Any], *, n_parameters: int) -> str:
    """The model card of a bundle: metadata for the Hugging Face hub; then detector, metrics, usage, limits, licence.

    Args:
        config: Content of `config.json`.
        n_parameters: Number of parameters of the detector, without the front end.
    """
    experiment, provenance = config["experiment"], config["provenance"]
    body = f"backbone `{experiment['backbone']['name']}`"
    if experiment["mode"] == "gmm":
        body = f"two mixtures of {experiment['gmm']['n_components']} Gaussians"
    lines = [
        card_metadata(config),
        f"# Spoofing countermeasure {provenance.get('run', '')} / trial {provenance.get('trial', '')}",
        "",
        f"A `{experiment['mode']}` detector: front end `{experiment['front_end']['name']}`{_layers(config)}, {body}, "
        f"{n_parameters:,} parameters. It gives a CM score to 16 kHz speech: higher = more bona fide.",
        "",
        f"Decision: bona fide if the score is at least {config['threshold']:.6g}. This is the threshold of the equal "
        "error rate on dev; another application needs another threshold.",
        "",
        "| partition | EER % | 95 % interval over utterances | over speakers (number) | AUC | bona fide | spoofed |",
        "|---|---|---|---|---|---|---|",
    ]
    for partition, values in config["metrics"].items():
        counts = f"{values['n_bona_fide']} | {values['n_spoof']}"
        ends = [
            " to ".join(f"{100 * end:.1f}" for end in values[key]) if key in values else "-"
            for key in ("eer_interval", "eer_interval_speakers")
        ]
        if "n_speakers" in values:
            ends[1] += f" ({values['n_speakers']})"
        rates = " | ".join([f"{100 * values['eer']:.2f}", *ends, f"{values['auc']:.4f}"])
        look = f" (look {values['look']})" if "look" in values else ""
        lines.append(f"| {partition}{look} | {rates} | {counts} |")
    lines += ["", *_costs(config)]
    for partition, values in config["metrics"].items():
        warning = swapped_sign(values)
        if warning:
            lines += ["", f"Warning: on {partition}, {warning}."]
        if values.get("eer_per_attack"):
            lines += ["", f"EER % per attack on {partition}:", "", "| attack | EER % |", "|---|---|"]
            lines += [f"| {attack} | {100 * rate:.2f} |" for attack, rate in values["eer_per_attack"].items()]
    lines += [
        "",
        *_about_seeds(provenance.get("confirmation")),
        f"Dev was used to select this detector, so its EER on dev is optimistic. {_about_eval(config)}",
        f"The detector was trained only on {provenance.get('corpus', 'an unnamed corpus')}. Expect a higher EER on "
        "other speech, channels and attacks.",
        "",
        "```",
        "spooftune score THIS_FOLDER RECORDING.flac",
        "```",
        "",
        *_durations(config),
        "Pretrained weights that the front end needs (SHA-256): "
        + (", ".join(f"{name} {digest}" for name, digest in config["front_end_weights"].items()) or "none"),
        "",
        "`config.json` has the whole experiment, all metrics and the versions of the software.",
        "",
        "Licence: the software is under Apache-2.0. The weights are not part of it: their licence depends on the "
        f"training data and on the front end (`{experiment['front_end']['name']}`) with its pretrained weights.",
        "",
    ]
    return "\n".join(lines)


def _durations(config: Mapping[str, Any]) -> list[str]:
    """The lines of a model card about what the detector was trained on; empty for bundles of earlier versions."""
    durations = config.get("durations_s")
    if not durations:
        return []
    lasting = (
        f"{values['shortest']:.1f} to {values['longest']:.1f} s on {name} (median {values['median']:.1f})"
        for name, values in durations.items()
    )
    longest = max(values["longest"] for values in durations.values())
    return [
        f"Utterances last {', '.join(lasting)}. Recordings of up to {longest:.1f} s are scored as the search scored "
        "them, longer ones in overlapping segments. No figure above is of longer or shorter recordings.",
        "",
    ]


def _about_seeds(confirmation: Mapping[str, Any] | None) -> list[str]:
    """The line of a model card about the fresh seeds with which the configuration was trained."""
    if confirmation is None:
        return []
    describe = METRICS[confirmation["objective"]].describe
    mean, worst = describe(confirmation["mean"]), describe(confirmation["worst"])
    seeds = f"{len(confirmation['by_seed'])} fresh seeds"
    line = (
        f"Trained with {seeds}, this configuration has a mean {confirmation['objective']} of {mean}, at worst {worst}."
    )
    race = confirmation.get("race")
    if race:
        line += (
            f" Fresh seeds were given while they could change the choice, at level {race['level']:g}: "
            f"{race['trainings']} trainings instead of {race['at_most']}."
        )
    return [line]


def _costs(config: Mapping[str, Any]) -> list[str]:
    """The lines of a model card about log-likelihood ratios and detection costs."""
    calibration = config.get("calibration")
    if not calibration:
        return ["Scores of this detector are not calibrated to log-likelihood ratios."]
    lines = [
        f"Log-likelihood ratio (natural logarithm) of a score: {calibration['slope']:.6g} * score "
        f"{calibration['offset']:+.6g}, fitted on dev with equal weight of both classes. `spooftune score --llr` "
        "prints it, and `--p-spoof` decides for another prior.",
    ]
    measured = {name: values for name, values in config["metrics"].items() if "act_dcf" in values}
    if measured:
        costs = next(iter(measured.values()))["dcf_costs"]
        of = f"Pspoof {costs['p_spoof']:g}, Cmiss {costs['miss']:g}, Cfa {costs['false_alarm']:g}"
        lines += ["", f"| partition | min DCF ({of}) | act DCF | Cllr, bits | Cllr at best |", "|---|---|---|---|---|"]
        for partition, values in measured.items():
            cells = (f"{values[key]:.4f}" for key in ("min_dcf", "act_dcf", "cllr", "min_cllr"))
            lines.append(f"| {partition} | {' | '.join(cells)} |")
    return lines

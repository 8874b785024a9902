"""Metadata of a model card, as the Hugging Face hub reads it: YAML in front of the text."""

import re
from collections.abc import Mapping
from typing import Any

METRICS = {"eer": "Equal error rate", "auc": "AUC", "min_dcf": "min DCF", "cllr": "Cllr, bits"}
"""Metric of a partition -> its name for readers."""

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""Name of a data set or model on the hub; a path of this machine is none."""


def card_metadata(config: Mapping[str, Any]) -> str:
    """The metadata of a bundle as YAML between two lines `---`.

    Args:
        config: Content of `config.json`.
    """
    import yaml

    provenance = config["provenance"]
    corpus = str(provenance.get("corpus", "unknown"))
    name = f"{provenance.get('run', 'bundle')}-trial-{provenance.get('trial', 0)}"
    encoder = config["experiment"]["front_end"].get("model")
    data: dict[str, Any] = {
        "library_name": "spooftune",
        "pipeline_tag": "audio-classification",
        "tags": ["anti-spoofing", "audio-deepfake-detection", "speech"],
        # The weights are under no licence that is known here: it depends on corpus and encoder, as the card says.
        "license": "other",
        "license_name": "depends-on-training-data",
    }
    if isinstance(encoder, str) and "/" in encoder and HUB_NAME.fullmatch(encoder):
        data["base_model"] = encoder
    if HUB_NAME.fullmatch(corpus):
        data["datasets"] = [corpus]
    measured = {
        partition: {key: values[key] for key in METRICS if values.get(key) is not None}
        for partition, values in config["metrics"].items()
    }
    data["metrics"] = [key for key in METRICS if any(key in values for values in measured.values())]
    results = [
        {
            "task": {"type": "audio-classification", "name": "Detection of spoofed speech"},
            "dataset": {"type": corpus, "name": f"{corpus}, {partition}", "split": partition},
            "metrics": [{"type": key, "name": METRICS[key], "value": float(value)} for key, value in values.items()],
        }
        for partition, values in measured.items()
    ]
    data["model-index"] = [{"name": name, "results": results}]
    return f"---\n{yaml.safe_dump(data, sort_keys=False, allow_unicode=True)}---\n"

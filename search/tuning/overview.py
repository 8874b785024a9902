"""TensorBoard's overview of a run: what is searched, the best trials so far in words, and their curves in one chart.

It is a TensorBoard run of its own, `overview`, beside those of the trials. Its file only grows: a trial that is among
the best when it ends leaves its curves there, and the latest layout says which curves the charts show.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2, metadata
from torch.utils.tensorboard import SummaryWriter

from core.versions import versions
from search.prepare.plan import SEARCHED_PARTITIONS, Plan
from search.runs.describe import brief_values, describe_objective
from search.runs.journal import Journal, TrialRecord
from search.runs.progress import best_first

OVERVIEW = "overview"
"""Folder of the overview in the folder of a run's event files."""

N_CURVES = 5
"""Trials whose curves are in a chart."""

N_ROWS = 20
"""Trials in the table of the best."""


class Overview:
    """Writes the overview of a search."""

    def __init__(self, folder: Path, journal: Journal, objective: str, pages: Mapping[str, str]) -> None:
        """An overview that is not written yet.

        Args:
            folder: Folder of the event files of the run.
            journal: Journal of the search.
            objective: Key of METRICS.
            pages: Title and Markdown of pages that stay as they are, of `pages_of`.
        """
        self.folder, self.journal, self.objective, self.pages = folder / OVERVIEW, journal, objective, dict(pages)
        self._drawn: set[int] = set()
        self._charted: list[int] = []
        self._writer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_writer": None}

    def start(self) -> None:
        """Writes the pages, and the best trials of earlier parts of the run."""
        self._writer = SummaryWriter(str(self.folder))
        for title, text in self.pages.items():
            self._writer.add_text(title, text)
        self.update()

    def update(self) -> None:
        """Writes the best trials again: their table, and the curves of those that are new among them."""
        if self._writer is None:
            return
        records = self.journal.trials()
        n_ended = sum(record.status != "running" for record in records)
        ended = [record for record in best_first(records) if record.status != "running"]
        self._writer.add_text("best so far", best_table(ended[:N_ROWS], self.objective), n_ended)
        best = ended[:N_CURVES]
        if [record.number for record in best] != self._charted:
            self._charted = [record.number for record in best]
            self._draw({record.number: record for record in best if record.number not in self._drawn})
            self._writer.file_writer.add_summary(layout(best, self.objective), n_ended)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._writer is not None:
            self.update()
            self._writer.close()
            self._writer = None

    def _draw(self, records: Mapping[int, TrialRecord]) -> None:
        self._drawn |= set(records)
        for event in self.journal.events():
            record = records.get(int(event["trial"]))
            if record is None or event["event"] != "epoch":
                continue
            for metric in charts_of(self.objective):
                value = (event.get("metrics") or {}).get(metric)
                if value is not None and math.isfinite(value):
                    self._writer.add_scalar(f"{metric}/{label_of(record)}", value, int(event["epoch"]))


def charts_of(objective: str) -> tuple[str, ...]:
    """The metrics of an epoch whose curves are overlaid."""
    return tuple(dict.fromkeys((objective, "dev_eer", "loss")))


def layout(best: Sequence[TrialRecord], objective: str) -> Summary:
    """The summary of one chart per metric with the curves of the given trials."""
    charts = [
        layout_pb2.Chart(
            title=metric,
            multiline=layout_pb2.MultilineChartContent(
                tag=[f"^{re.escape(f'{metric}/{label_of(record)}')}$" for record in best]
            ),
        )
        for metric in charts_of(objective)
    ]
    content = layout_pb2.Layout(category=[layout_pb2.Category(title=f"best {N_CURVES} trials", chart=charts)])
    # TensorBoard's own function for this summary needs TensorFlow.
    tensor = TensorProto(dtype="DT_STRING", string_val=[content.SerializeToString()], tensor_shape=TensorShapeProto())
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME)
    about = SummaryMetadata(plugin_data=plugin)
    return Summary(value=[Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, tensor=tensor, metadata=about)])


def label_of(record: TrialRecord) -> str:
    """Number and configuration of a trial in brief, without characters that structure tags."""
    return f"{record.number:05d} {brief_values(record.values)}".replace("/", "_").strip()


def best_table(records: Sequence[TrialRecord], objective: str) -> str:
    """The given trials in Markdown."""

    def shown(record: TrialRecord) -> str:
        return describe_objective(objective, record.objective, name=False)

    rows = [
        f"| {record.number} | {record.status} | {record.epoch} | {shown(record)} "
        f"| {brief_values(record.values).replace('|', ' ') or '-'} |"
        for record in records
    ]
    return "\n".join([f"| trial | status | epoch | {objective} | configuration |", "|---|---|---|---|---|", *rows])


def pages_of(plan: Plan) -> dict[str, str]:
    """The pages of a search in Markdown: its space, its corpus, the versions of the software."""
    corpus = plan.space.corpus
    lines = [f"{corpus.layout.name} at `{corpus.path}`", ""]
    for partition in SEARCHED_PARTITIONS:
        n_bona_fide, n_spoof = plan.corpus.counts(partition)
        lines.append(f"- {partition}: {n_bona_fide} bona fide, {n_spoof} spoofed")
    lines += ["- eval: not opened by the search", *(f"- warning: {warning}" for warning in plan.corpus.warnings)]
    space = yaml.safe_dump(dict(plan.space.plain), sort_keys=False)
    rows = "\n".join(f"| {name} | {version} |" for name, version in versions().items())
    return {
        "space": f"```yaml\n{space}```",
        "corpus": "\n".join(lines),
        "versions": f"| package | version |\n|---|---|\n{rows}",
    }

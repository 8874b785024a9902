"""TensorBoard's HPARAMS: the columns of a search, and the values of a trial.

TensorBoard shows the columns of one experiment summary, whichever it reads first. Therefore a search has one such
summary, with every searched parameter, and the files of its trials have none: a trial lacks the parameters whose
condition does not hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.metadata import (
    EXPERIMENT_TAG,
    PLUGIN_DATA_VERSION,
    PLUGIN_NAME,
    SESSION_END_INFO_TAG,
    SESSION_START_INFO_TAG,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from search.space.parameter import Label, Parameter, Values

TRIAL = "trial"
"""Column with the number of the trial; that of a confirmation's training is the trial that it repeats."""

PART = "part"
"""Column that tells the trials of the search from the trainings of the confirmation."""

PARTS = ("search", "confirmation")


@dataclass(frozen=True)
class Column:
    """A column of HPARAMS.

    Attributes:
        kind: Type of all values of the column; TensorBoard knows these.
        ends: Minimum and maximum of a numeric range; None: not a range.
        choices: Values of a choice as the column shows them; empty: not a choice.
    """

    kind: Literal["number", "bool", "string"] = "number"
    ends: tuple[float, float] | None = None
    choices: tuple[str | float | bool, ...] = ()

    def shown(self, label: Label) -> str | float | bool:
        """The value of a configuration as the column shows it."""
        if self.kind == "string":
            return "none" if label is None else str(label)
        assert label is not None
        return bool(label) if self.kind == "bool" else float(label)


def columns_of(searched: Sequence[Parameter], configurations: Iterable[Values] = ()) -> dict[str, Column]:
    """The columns of a search, by path of the parameter, and TRIAL and PART.

    Args:
        searched: The searched parameters; each has a column, even if its condition never holds.
        configurations: Configurations of trials that ran. If a changed space lacks some of their parameters, these have
            columns, too.
    """
    labels: dict[str, list[Label]] = {parameter.path: list(parameter.labels) for parameter in searched}
    ends = {parameter.path: (float(parameter.low), float(parameter.high)) for parameter in searched}
    former: dict[str, list[Label]] = {}
    for values in configurations:
        for path, label in values.items():
            if path not in labels:
                former.setdefault(path, []).append(label)
            elif labels[path] and label not in labels[path]:
                labels[path].append(label)
    columns = {TRIAL: Column(), PART: _choice(PARTS)}
    for path, known in [*labels.items(), *former.items()]:
        columns[path] = _choice(known) if known else Column(ends=ends[path])
    return columns


def _choice(labels: Sequence[Label]) -> Column:
    if all(isinstance(label, bool) for label in labels):
        column = Column("bool")
    elif all(isinstance(label, int | float) and not isinstance(label, bool) for label in labels):
        column = Column("number")
    else:
        column = Column("string")
    return Column(column.kind, choices=tuple(dict.fromkeys(map(column.shown, labels))))


def experiment_summary(columns: Mapping[str, Column], metrics: Mapping[str, str]) -> Summary:
    """The summary of a search: its columns, and the tags of the metrics beside them with their heads."""
    infos = []
    for name, column in columns.items():
        kinds = {"number": "DATA_TYPE_FLOAT64", "bool": "DATA_TYPE_BOOL", "string": "DATA_TYPE_STRING"}
        info = api_pb2.HParamInfo(name=name, type=kinds[column.kind])
        if column.choices:
            info.domain_discrete.extend(column.choices)
        elif column.ends:
            info.domain_interval.min_value, info.domain_interval.max_value = column.ends
        infos.append(info)
    shown = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=head) for tag, head in metrics.items()]
    return _summary(EXPERIMENT_TAG, experiment=api_pb2.Experiment(hparam_infos=infos, metric_infos=shown))


def session_start(
    number: int, values: Values, columns: Mapping[str, Column], *, part: str = PARTS[0], group: str = ""
) -> Summary:
    """The summary of a trial at its start.

    Args:
        number: Value of the column TRIAL.
        values: The configuration.
        columns: Columns of the search.
        part: Value of the column PART.
        group: Trials with the same group are one row, which has the means of their metrics; empty: a row of its own.
    """
    info = SessionStartInfo(group_name=group)
    for name, label in {TRIAL: number, PART: part, **values}.items():
        column = columns.get(name) or _choice([label])
        value, kind = column.shown(label), column.kind
        setattr(info.hparams[name], f"{kind}_value", value)
    return _summary(SESSION_START_INFO_TAG, session_start_info=info)


def session_end(status: str) -> Summary:
    """The summary of a trial at its end, with a status of the journal."""
    statuses = {"failed": api_pb2.STATUS_FAILURE, "finished": api_pb2.STATUS_SUCCESS, "stopped": api_pb2.STATUS_SUCCESS}
    info = SessionEndInfo(status=statuses.get(status, api_pb2.STATUS_UNKNOWN))
    return _summary(SESSION_END_INFO_TAG, session_end_info=info)


def _summary(tag: str, **content: Any) -> Summary:
    data = HParamsPluginData(version=PLUGIN_DATA_VERSION, **content).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=data)
    return Summary(value=[Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin))])

from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from search.runs.journal import Journal
from search.runs.trial_folder import TrialFolder
from search.space.parameter import Parameter
from search.tuning.hparams import columns_of
from search.tuning.recorder import RecordTrials
from search.tuning.tensorboard import TensorBoardWriter, folder_of, run_name

SEARCHED = (
    Parameter("backbone.name", "choice", choices=("lcnn", "senet18")),
    Parameter("input.flag", "choice", choices=(True, False)),
    Parameter("backbone.width", "integer", low=4, high=9, when={"backbone.name": ("senet18",)}),
    Parameter("loss.margin", "uniform", low=0.5, high=3.0),
    Parameter("lr_schedule.lr", "log_uniform", low=1e-4, high=1e-2, when={"backbone.name": ("none",)}),
    Parameter("input.normalize", "choice", choices=(None, "mean")),
    Parameter("loss.margin_or_off", "choice", choices=(0.5, None)),
    Parameter("input.layer", "choice", choices=(0, 4, "mean", "mix")),
)


def read(folder):
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    metadata = accumulator.summary_metadata
    return accumulator, {
        tag: HParamsPluginData.FromString(each.plugin_data.content)
        for tag, each in metadata.items()
        if each.plugin_data.plugin_name == "hparams"
    }


def trial(number, **last_result):
    config = {"number": number, "values": {"backbone.name": "lcnn", "loss.margin": 0.5, "input.flag": True}}
    return SimpleNamespace(config=config, last_result=last_result or None)


def writer_of(folder, searched=SEARCHED, configurations=()):
    return TensorBoardWriter(folder, columns_of(searched, configurations), Journal(folder / "trials.jsonl"))


def ended(writer, number, status, **fields):
    """Records a trial as RecordTrials does before the writer is told."""
    values = trial(number).config["values"]
    writer.journal.record("start", number, values=values)
    if fields:
        metrics = {name: fields[name] for name in ("loss", "best_dev_eer", "best_epoch") if name in fields}
        writer.journal.record("epoch", number, seconds=2.5, metrics=metrics, **{"epoch": 1, "objective": 0.25})
    if status != "running":
        writer.journal.record("end", number, status=status)


RESULT = {"epoch": 1, "loss": 0.5, "dev_eer": 0.25, "best_dev_eer": 0.25, "objective": 0.25, "best_epoch": 1}


@pytest.mark.parametrize("end", ["complete", "error", "cut off"])
def test_tensorboards_reader_finds_scalars_and_hparams_whatever_the_end(tmp_path, end):
    writer = writer_of(tmp_path)
    writer.on_trial_start(0, [], trial(3))
    writer.on_trial_result(0, [], trial(3), RESULT)
    ended(writer, 3, {"complete": "stopped", "error": "failed", "cut off": "running"}[end], **RESULT)
    if end == "complete":
        writer.on_trial_complete(0, [], trial(3, **RESULT))
    elif end == "error":
        writer.on_trial_error(0, [], trial(3, **RESULT))
    else:
        writer.on_experiment_end([trial(3, **RESULT)])
    accumulator, hparams = read(tmp_path / "00003 lcnn m=0.5 flag=True")
    assert [(each.step, each.value) for each in accumulator.Scalars("dev/eer")] == [(1, 0.25)]
    final = {tag: accumulator.Scalars(tag)[0].value for tag in accumulator.Tags()["scalars"] if "hparam/" in tag}
    assert final == {
        "hparam/objective": 0.25,
        "hparam/best_dev_eer": 0.25,
        "hparam/loss": 0.5,
        "hparam/best_epoch": 1,
        "hparam/epoch": 1,
        "hparam/seconds": 2.5,
        "hparam/status": {"complete": 1, "error": -1, "cut off": 0}[end],
    }
    session = hparams["_hparams_/session_start_info"].session_start_info.hparams
    assert session["backbone.name"].string_value == "lcnn"
    assert session["loss.margin"].number_value == 0.5
    assert session["input.flag"].bool_value is True
    status = hparams["_hparams_/session_end_info"].session_end_info.status
    assert status == {"complete": 1, "error": 2, "cut off": 0}[end]


NAME = "lcnn m=0.5 flag=True"


def test_a_trial_that_failed_before_its_first_epoch_has_hparams(tmp_path):
    writer = writer_of(tmp_path)
    writer.on_trial_start(0, [], trial(0))
    assert "_hparams_/session_start_info" in read(tmp_path / f"00000 {NAME}")[1]  # while it runs
    ended(writer, 0, "failed")
    writer.on_trial_error(0, [], trial(0))
    assert "_hparams_/session_end_info" in read(tmp_path / f"00000 {NAME}")[1]


def test_a_trial_that_is_paused_keeps_one_file_and_non_finite_values_are_left_out(tmp_path):
    writer = writer_of(tmp_path)
    writer.on_trial_start(0, [], trial(0))
    writer.on_trial_start(0, [], trial(0))
    writer.on_trial_result(0, [], trial(0), {"epoch": 1, "loss": float("nan"), "objective": float("inf")})
    ended(writer, 0, "failed")
    writer.on_trial_complete(0, [], trial(0))
    assert len(list((tmp_path / f"00000 {NAME}").iterdir())) == 1
    scalars = read(tmp_path / f"00000 {NAME}")[0].Tags()["scalars"]
    assert sorted(scalars) == ["hparam/epoch", "hparam/seconds", "hparam/status"]


def test_a_resumed_trial_keeps_its_folder_also_that_of_an_earlier_version(tmp_path):
    values = trial(0).config["values"]
    assert folder_of(tmp_path, 7, values, "search").name == f"00007 {NAME}"
    (tmp_path / "00007 former words").mkdir()
    assert folder_of(tmp_path, 7, values, "search").name == "00007 former words"
    (tmp_path / "00007").mkdir()
    assert folder_of(tmp_path, 7, values, "search").name == "00007"


def test_names_are_names_of_files():
    values = {"front_end.path": "/data/a:b*.pt", "backbone.name": "lcnn/../x", "loss.margin": 0.5} | {
        f"augment.long_name_{k}": 1.0 for k in range(9)
    }
    name = run_name(42, values)
    assert name.startswith("00042 path=a_b_.pt lcnn_.._x m=0.5 long_name_0=1")
    assert len(name) <= 80
    assert run_name(3, {}) == "00003"


def test_the_weights_of_a_mix_of_layers_are_scalars_and_stand_in_the_journal(tmp_path):
    weights = {"layer_0_weight": 0.25, "layer_11_weight": 0.75}
    writer = writer_of(tmp_path)
    writer.on_trial_start(0, [], trial(3))
    writer.on_trial_result(0, [], trial(3), {**RESULT, **weights})
    accumulator, _ = read(tmp_path / f"00003 {NAME}")
    assert [accumulator.Scalars(f"layers/layer_{layer}")[0].value for layer in ("00", "11")] == [0.25, 0.75]
    folder = TrialFolder(tmp_path, place="runs/r", tensorboard=tmp_path)
    recorder = RecordTrials(folder)
    recorder.on_trial_start(0, [], trial(3))
    chance = {"loss_to_chance": 0.99, "step": 16}  # by which `status` marks a trial
    recorder.on_trial_result(0, [], trial(3), {**RESULT, **weights, **chance, "unknown": 1.0})
    (record,) = folder.journal.trials()
    assert record.metrics.items() >= {**weights, **chance}.items()
    assert "unknown" not in record.metrics


def table_of(folder):
    """Names and types of the columns that TensorBoard shows for a folder, and the values by run."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.list_session_groups import Handler

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(multiplexer, str(folder))))
    content = context.hparams_metadata(RequestContext(), "")
    known = context.hparams_from_data_provider(RequestContext(), "", None)
    experiment = context.experiment_from_metadata(RequestContext(), "", True, content, known)
    wanted = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING, api_pb2.STATUS_SUCCESS],
        slice_size=100,
        include_metrics=True,
        col_params=[api_pb2.ColParams(hparam=info.name) for info in experiment.hparam_infos],
    )
    groups = Handler(RequestContext(), context, "", wanted).run().session_groups
    columns = {info.name: api_pb2.DataType.Name(info.type) for info in experiment.hparam_infos}
    return columns, {group.sessions[0].name[:5]: set(group.hparams) for group in groups}


def test_every_searched_parameter_is_a_column_of_one_type(tmp_path):
    writer = writer_of(tmp_path)
    writer.setup()
    some = {"backbone.name": "lcnn", "loss.margin": 0.5, "input.flag": False, "loss.margin_or_off": 0.5}
    some["input.layer"] = 4
    writer.start(0, some)
    other = {"backbone.name": "senet18", "backbone.width": 7, "loss.margin_or_off": None, "input.layer": "mix"}
    writer.start(1, {**some, **other})
    columns, sessions = table_of(tmp_path)
    assert columns == {
        "trial": "DATA_TYPE_FLOAT64",
        "part": "DATA_TYPE_STRING",
        "backbone.name": "DATA_TYPE_STRING",
        "input.flag": "DATA_TYPE_BOOL",
        "backbone.width": "DATA_TYPE_FLOAT64",
        "loss.margin": "DATA_TYPE_FLOAT64",
        "lr_schedule.lr": "DATA_TYPE_FLOAT64",
        "input.normalize": "DATA_TYPE_STRING",
        "loss.margin_or_off": "DATA_TYPE_STRING",
        "input.layer": "DATA_TYPE_STRING",
    }
    assert sessions == {"00000": {"trial", "part", *some}, "00001": {"trial", "part", "backbone.width", *some}}


def test_columns_after_a_change_of_the_space_are_those_of_all_trials(tmp_path):
    old = {"loss.margin": 0.5, "pairs.name": "former"}
    first = writer_of(tmp_path, SEARCHED[3:4])
    first.setup()
    first.start(0, old)
    writer_of(tmp_path, SEARCHED, [old]).setup()
    columns, sessions = table_of(tmp_path)
    assert set(columns) == {"trial", "part", "pairs.name", *(parameter.path for parameter in SEARCHED)}
    assert sessions == {"00000": {"trial", "part", *old}}

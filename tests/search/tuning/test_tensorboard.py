from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from search.runs.trial_folder import TrialFolder
from search.space.parameter import Parameter
from search.tuning.hparams import columns_of
from search.tuning.recorder import RecordTrials
from search.tuning.tensorboard import TensorBoardWriter

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


RESULT = {"epoch": 1, "loss": 0.5, "dev_eer": 0.25, "best_dev_eer": 0.25, "objective": 0.25, "best_epoch": 1}


@pytest.mark.parametrize("end", ["complete", "error", "cut off"])
def test_tensorboards_reader_finds_scalars_and_hparams_whatever_the_end(tmp_path, end):
    writer = TensorBoardWriter(tmp_path, columns_of(SEARCHED))
    writer.on_trial_start(0, [], trial(3))
    writer.on_trial_result(0, [], trial(3), RESULT)
    if end == "complete":
        writer.on_trial_complete(0, [], trial(3, **RESULT))
    elif end == "error":
        writer.on_trial_error(0, [], trial(3, **RESULT))
    else:
        writer.on_experiment_end([trial(3, **RESULT)])
    accumulator, hparams = read(tmp_path / "00003")
    assert [(each.step, each.value) for each in accumulator.Scalars("dev/eer")] == [(1, 0.25)]
    assert accumulator.Scalars("hparam/best_dev_eer")[0].value == 0.25
    session = hparams["_hparams_/session_start_info"].session_start_info.hparams
    assert session["backbone.name"].string_value == "lcnn"
    assert session["loss.margin"].number_value == 0.5
    assert session["input.flag"].bool_value is True
    status = hparams["_hparams_/session_end_info"].session_end_info.status
    assert status == (2 if end == "error" else 1)


def test_a_trial_that_failed_before_its_first_epoch_has_hparams(tmp_path):
    writer = TensorBoardWriter(tmp_path, columns_of(SEARCHED))
    writer.on_trial_start(0, [], trial(0))
    assert "_hparams_/session_start_info" in read(tmp_path / "00000")[1]  # while it runs
    writer.on_trial_error(0, [], trial(0))
    assert "_hparams_/session_end_info" in read(tmp_path / "00000")[1]


def test_a_trial_that_is_paused_keeps_one_file_and_non_finite_values_are_left_out(tmp_path):
    writer = TensorBoardWriter(tmp_path, columns_of(SEARCHED))
    writer.on_trial_start(0, [], trial(0))
    writer.on_trial_start(0, [], trial(0))
    writer.on_trial_result(0, [], trial(0), {"epoch": 1, "loss": float("nan"), "objective": float("inf")})
    writer.on_trial_complete(0, [], trial(0))
    assert len(list((tmp_path / "00000").iterdir())) == 1
    assert read(tmp_path / "00000")[0].Tags()["scalars"] == []


def test_the_weights_of_a_mix_of_layers_are_scalars_and_stand_in_the_journal(tmp_path):
    weights = {"layer_0_weight": 0.25, "layer_11_weight": 0.75}
    writer = TensorBoardWriter(tmp_path, columns_of(SEARCHED))
    writer.on_trial_start(0, [], trial(3))
    writer.on_trial_result(0, [], trial(3), {**RESULT, **weights})
    accumulator, _ = read(tmp_path / "00003")
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
    return columns, {group.sessions[0].name: set(group.hparams) for group in groups}


def test_every_searched_parameter_is_a_column_of_one_type(tmp_path):
    writer = TensorBoardWriter(tmp_path, columns_of(SEARCHED))
    writer.setup()
    some = {"backbone.name": "lcnn", "loss.margin": 0.5, "input.flag": False, "loss.margin_or_off": 0.5}
    some["input.layer"] = 4
    writer.start(0, some)
    other = {"backbone.name": "senet18", "backbone.width": 7, "loss.margin_or_off": None, "input.layer": "mix"}
    writer.start(1, {**some, **other})
    columns, sessions = table_of(tmp_path)
    assert columns == {
        "trial": "DATA_TYPE_FLOAT64",
        "backbone.name": "DATA_TYPE_STRING",
        "input.flag": "DATA_TYPE_BOOL",
        "backbone.width": "DATA_TYPE_FLOAT64",
        "loss.margin": "DATA_TYPE_FLOAT64",
        "lr_schedule.lr": "DATA_TYPE_FLOAT64",
        "input.normalize": "DATA_TYPE_STRING",
        "loss.margin_or_off": "DATA_TYPE_STRING",
        "input.layer": "DATA_TYPE_STRING",
    }
    assert sessions == {"00000": {"trial", *some}, "00001": {"trial", "backbone.width", *some}}


def test_columns_after_a_change_of_the_space_are_those_of_all_trials(tmp_path):
    old = {"loss.margin": 0.5, "pairs.name": "former"}
    first = TensorBoardWriter(tmp_path, columns_of(SEARCHED[3:4]))
    first.setup()
    first.start(0, old)
    TensorBoardWriter(tmp_path, columns_of(SEARCHED, [old])).setup()
    columns, sessions = table_of(tmp_path)
    assert set(columns) == {"trial", "pairs.name", *(parameter.path for parameter in SEARCHED)}
    assert sessions == {"00000": {"trial", *old}}

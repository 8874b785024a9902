from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from search.tuning.tensorboard import TensorBoardWriter


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
    writer = TensorBoardWriter(tmp_path)
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
    status = hparams["_hparams_/session_end_info"].session_end_info.status
    assert status == (2 if end == "error" else 1)


def test_a_trial_that_failed_before_its_first_epoch_has_hparams(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.on_trial_start(0, [], trial(0))
    assert "_hparams_/session_start_info" in read(tmp_path / "00000")[1]  # while it runs
    writer.on_trial_error(0, [], trial(0))
    assert "_hparams_/session_end_info" in read(tmp_path / "00000")[1]


def test_a_trial_that_is_paused_keeps_one_file_and_non_finite_values_are_left_out(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    writer.on_trial_start(0, [], trial(0))
    writer.on_trial_start(0, [], trial(0))
    writer.on_trial_result(0, [], trial(0), {"epoch": 1, "loss": float("nan"), "objective": float("inf")})
    writer.on_trial_complete(0, [], trial(0))
    assert len(list((tmp_path / "00000").iterdir())) == 1
    assert read(tmp_path / "00000")[0].Tags()["scalars"] == []

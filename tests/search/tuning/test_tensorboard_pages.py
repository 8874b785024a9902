"""What TensorBoard's own backend shows of a run of 100 trials with a confirmation: HPARAMS, text, custom scalars."""

import random
import re
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.list_session_groups import Handler

from search.methods.confirmations import NUMBER_STRIDE
from search.runs.run import Run
from search.space.parameter import Parameter
from search.tuning.hparams import columns_of
from search.tuning.overview import Overview
from search.tuning.tensorboard import FINAL, TensorBoardWriter, write_confirmed_means

SEARCHED = (
    Parameter("backbone.name", "choice", choices=("lcnn", "senet18")),
    Parameter("loss.margin", "uniform", low=0.5, high=3.0),
    Parameter("lr_schedule.name", "choice", choices=("paper", "cosine")),
    Parameter("lr_schedule.lr", "log_uniform", low=1e-4, high=1e-2, when={"lr_schedule.name": ("cosine",)}),
)
N_TRIALS = 100


def values_of(number):
    """Trial 0 has the schedule of the paper, which lacks `lr`."""
    generator = random.Random(number)
    values = {
        "backbone.name": generator.choice(["lcnn", "senet18"]),
        "loss.margin": generator.uniform(0.5, 3),
        "lr_schedule.name": "cosine" if number % 2 else "paper",
    }
    return {**values, "lr_schedule.lr": 10 ** generator.uniform(-4, -2)} if number % 2 else values


def write_trial(writer, number, values, *, level, status="finished", n_epochs=3):
    """What RecordTrials and the writer do with a trial, in the order of Ray Tune's callbacks."""
    trial = SimpleNamespace(config={"number": number, "values": values})
    writer.journal.record("start", number, values=values)
    writer.on_trial_start(0, [], trial)
    for epoch in range(1, n_epochs + 1):
        eer = level + 0.1 / epoch
        metrics = {"loss": 1 / epoch, "dev_eer": eer, "best_dev_eer": eer, "best_dev_auc": 1 - eer, "best_epoch": epoch}
        writer.journal.record(
            "epoch", number, epoch=epoch, epochs=3, objective=eer, seconds=2.0 * epoch, metrics=metrics
        )
        writer.on_trial_result(0, [], trial, {**metrics, "objective": eer, "epoch": epoch})
    writer.journal.record("end", number, status=status)
    writer.on_trial_complete(0, [], trial)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = Run(tmp_path_factory.mktemp("runs") / "big")
    made.path.mkdir()
    made.update(name="big", objective="dev_eer", state="finished")
    columns = columns_of(SEARCHED)
    overview = Overview(made.tensorboard, made.journal, "dev_eer", {"space": "```yaml\nname: big\n```"})
    writer = TensorBoardWriter(made.tensorboard, columns, made.journal, overview=overview)
    writer.setup()
    for number in range(N_TRIALS):
        stopped = number % 5 == 0
        level = 0.5 - 0.004 * number
        write_trial(
            writer, number, values_of(number), level=level, status="stopped" if stopped else "finished",
            n_epochs=1 if stopped else 3,
        )  # fmt: skip
    writer.on_experiment_end([])
    trainings = made.confirmation()
    trainings.path.mkdir()
    again = TensorBoardWriter(trainings.tensorboard, columns, trainings.journal, part="confirmation")
    again.setup()
    wanted = [98 * NUMBER_STRIDE + k for k in range(3)]
    trainings.update(wanted=wanted, race=None)
    for k, number in enumerate(wanted):
        write_trial(again, number, values_of(98), level=0.2 + 0.03 * k)
    again.on_experiment_end([])
    write_confirmed_means(made)
    return made


@pytest.fixture(scope="module")
def multiplexer(run):
    loaded = EventMultiplexer().AddRunsFromDirectory(str(run.tensorboard))
    loaded.Reload()
    return loaded


@pytest.fixture(scope="module")
def provider(run, multiplexer):
    return MultiplexerDataProvider(multiplexer, str(run.tensorboard))


@pytest.fixture(scope="module")
def hparams(provider):
    """The columns, the metrics with their heads, and the rows that HPARAMS shows."""
    context, request = Context(TBContext(data_provider=provider)), RequestContext()
    content = context.hparams_metadata(request, "")
    known = context.hparams_from_data_provider(request, "", None)
    experiment = context.experiment_from_metadata(request, "", True, content, known)
    statuses = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_RUNNING, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]
    wanted = api_pb2.ListSessionGroupsRequest(
        allowed_statuses=statuses,
        slice_size=1000,
        include_metrics=True,
        col_params=[
            *(api_pb2.ColParams(hparam=info.name) for info in experiment.hparam_infos),
            *(api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos),
        ],
    )
    rows = Handler(request, context, "", wanted).run().session_groups
    heads = {info.name.tag: info.display_name for info in experiment.metric_infos}
    return [info.name for info in experiment.hparam_infos], heads, rows


def metrics_of(row):
    return {value.name.tag: value.value for value in row.metric_values}


def test_the_columns_are_all_parameters_of_the_space_and_every_trial_is_a_row(hparams):
    columns, heads, rows = hparams
    assert sorted(columns) == sorted(["trial", "part", *(parameter.path for parameter in SEARCHED)])
    assert heads == dict(FINAL.values())
    searched = [row for row in rows if row.hparams["part"].string_value == "search"]
    assert sorted(row.hparams["trial"].number_value for row in searched) == list(range(N_TRIALS))
    assert all(("lr_schedule.lr" in row.hparams) == (row.hparams["trial"].number_value % 2 == 1) for row in searched)


def test_a_row_has_every_metric(hparams):
    rows = {
        row.hparams["trial"].number_value: row for row in hparams[2] if row.hparams["part"].string_value == "search"
    }
    level = 0.5 - 0.004 * 98
    assert metrics_of(rows[98]) == pytest.approx(
        {
            "hparam/objective": level + 0.1 / 3,
            "hparam/best_dev_eer": level + 0.1 / 3,
            "hparam/best_dev_auc": 1 - level - 0.1 / 3,
            "hparam/loss": 1 / 3,
            "hparam/best_epoch": 3,
            "hparam/epoch": 3,
            "hparam/seconds": 6,
            "hparam/status": 2,
            "hparam/confirmed_mean": 0.23 + 0.1 / 3,
        },
        abs=1e-6,
    )
    assert metrics_of(rows[95])["hparam/status"] == 1
    assert "hparam/confirmed_mean" not in metrics_of(rows[95])


def test_a_confirmation_is_one_row_with_the_mean_of_its_seeds_and_the_number_of_its_trial(hparams):
    (row,) = [row for row in hparams[2] if row.hparams["part"].string_value == "confirmation"]
    assert row.hparams["trial"].number_value == 98
    assert len(row.sessions) == 3
    assert metrics_of(row)["hparam/objective"] == pytest.approx(0.23 + 0.1 / 3, abs=1e-6)
    assert {session.name[-6:] for session in row.sessions} == {"seed 1", "seed 2", "seed 3"}


def test_names_of_runs_say_what_a_trial_is(multiplexer):
    margin = f"{values_of(98)['loss.margin']:.4g}"
    name = f"00098 {values_of(98)['backbone.name']} m={margin} paper"
    names = multiplexer.Runs()
    assert {name, f"confirmation/{name} seed 1", "overview"} <= set(names)
    assert not any(re.search(r"9800\d", run) for run in names)


def test_the_best_trials_are_overlaid_in_one_chart_per_metric(provider, multiplexer):
    layout = CustomScalarsPlugin(TBContext(data_provider=provider)).layout_impl(RequestContext(), "")
    assert '"dev_eer"' in layout
    assert '"loss"' in layout
    patterns = re.findall(r'"\^(dev_eer/.+?)\$"', layout)
    tags = multiplexer.Runs()["overview"]["tensors"]
    shown = [tag for tag in tags for pattern in patterns if re.fullmatch(pattern.replace("\\\\", "\\"), tag)]
    assert [int(re.search(r"/(\d{5})", tag)[1]) for tag in sorted(shown)] == [94, 96, 97, 98, 99]
    for tag in shown:
        assert [event.step for event in multiplexer.Tensors("overview", tag)] == [1, 2, 3]


def test_the_pages_have_the_space_and_the_best_so_far(multiplexer):
    def text(tag):
        return multiplexer.Tensors("overview", f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()

    assert "name: big" in text("space")
    rows = text("best so far").splitlines()
    assert rows[2].startswith("| 99 | finished | 3 | 13.73 % | ")
    assert len(rows) == 22

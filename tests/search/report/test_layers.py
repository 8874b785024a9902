"""A run over the layers of a front end: its report names them, and its bundle computes only the one that it reads."""

import json

import numpy as np
import pytest
from rich.console import Console

from core import bundle, checkpoint
from core.evaluation.score_file import read_cm_scores
from core.stores.store import FeatureStore
from core.training.fit import fit
from search.prepare.identity import record_identity
from search.prepare.plan import make_plan
from search.prepare.stores import build_stores
from search.report.export import export
from search.report.layers import layer_weights_table, layers_table, plot_layer_weights
from search.report.report import ReportOptions, write_report
from search.runs.journal import TrialRecord
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.reader import read_space
from search.space.space import store_name
from tests.layered import Layered, layered_front_end  # noqa: F401

CONSOLE = Console(quiet=True)
LAYERS = ("mix", 2, "mean")
SPACE = """\
name: layers
corpus: {layout: asvspoof2019_la, path: CORPUS}
experiment:
  front_end: {name: layered, layers: [0, 1, 2]}
  input: {n_frames: 32, layer: {choice: [2, mean, mix]}}
  backbone: {name: statistics_pooling, width: 8, embedding_dim: 8}
  classifier: {name: mlp, hidden: 8, epochs: 3}
  lr_schedule: {name: constant, lr: 2e-3}
  batch_size: 8
  epochs: 1
search: {sampler: grid, trials: 3}
"""

pytestmark = pytest.mark.usefixtures("layered_front_end")


@pytest.fixture
def searched(tmp_path, corpus, layered_front_end):  # noqa: F811
    """Run and plan of a search whose trials, one for each of LAYERS, were trained in this process."""
    path = tmp_path / "s.yaml"
    path.write_text(SPACE.replace("CORPUS", str(corpus)))
    storage = Storage(str(tmp_path / "storage"))
    plan = make_plan(read_space(path), storage)
    run = Run.create(storage, prefix="layers", name="r")
    run.update(name="r", state="finished", n_trials=3, objective="dev_eer")
    run.change_space(plan.space)
    record_identity(run, plan)
    folders = build_stores(plan, CONSOLE)
    assert len(folders) == 1
    for number, layer in enumerate(LAYERS):
        values = {"input.layer": layer}
        experiment = plan.space.experiment(values)
        assert list(folders) == [store_name(experiment)]
        run.journal.record("start", number, values=values)

        def report(metrics, state, number=number):
            file = run.path / "tune-001" / f"{number:05d}" / "checkpoint_000000" / "checkpoint.pt"
            checkpoint.save(file, {**state, "measured": metrics})
            run.journal.record("end", number, status="finished", epoch=1, objective=metrics["objective"], seconds=1.0)

        stores = {store.partition: FeatureStore.open(store.path) for store in plan.stores}
        fit(experiment, stores["train"], stores["dev"], report)
    return run, plan


@pytest.mark.parametrize(("number", "highest"), [(0, 2), (1, 2), (2, 2)])
def test_an_exported_bundle_scores_as_the_store_did(searched, tmp_path, corpus, number, highest):
    run, plan = searched
    export(run, plan, tmp_path / "bundle", number=number, console=CONSOLE)
    written = read_cm_scores(tmp_path / "bundle" / "scores" / "dev.txt")
    loaded = bundle.load(tmp_path / "bundle")
    several = LAYERS[number] in ("mix", "mean")
    assert loaded.experiment.front_end.options["layers"] == ([0, 1, 2] if several else [2])
    assert loaded.layers == ((0, 1, 2) if several else (2,))
    Layered.computed.clear()
    paths = {each.utterance_id: each.path for each in plan.corpus.partition("dev")}
    scores = bundle.score(loaded, [paths[name] for name in written.utterance_ids])
    np.testing.assert_allclose([score for _, score in scores], written.scores, rtol=1e-4, atol=1e-5)
    assert max(Layered.computed) == highest
    config = json.loads((tmp_path / "bundle" / "config.json").read_text())
    assert ("layer_weights" in config) == (LAYERS[number] == "mix")


def test_a_checkpoint_of_an_earlier_version_names_no_layers(searched, tmp_path):
    run, plan = searched
    path = run.checkpoint(2)
    state = checkpoint.load(path)
    del state["layers"], state["experiment"]["input"]["layer"], state["format"]  # it read the mean: the default
    checkpoint.save(path, state)
    export(run, plan, tmp_path / "bundle", number=2, console=CONSOLE)
    written = read_cm_scores(tmp_path / "bundle" / "scores" / "dev.txt")
    paths = {each.utterance_id: each.path for each in plan.corpus.partition("dev")}
    scores = bundle.score(bundle.load(tmp_path / "bundle"), [paths[name] for name in written.utterance_ids])
    np.testing.assert_allclose([score for _, score in scores], written.scores, rtol=1e-4, atol=1e-5)


def test_the_report_says_which_layers_served_and_how_they_were_mixed(searched, tmp_path):
    run, plan = searched
    forms = write_report(run, plan, tmp_path / "report", ReportOptions(), CONSOLE)
    data = json.loads(forms["json"])
    (weights,) = data["layer_weights"].values()
    assert list(data["layer_weights"]) == ["0"]
    assert sum(weights.values()) == pytest.approx(1)
    tables = {table["title"]: table for table in data["tables"]}
    by_layer = {row[0]: row[1:] for row in tables["Layers of the front end in the search"]["rows"]}
    assert {layer: row[0] for layer, row in by_layer.items()} == {"2": "1", "mean": "1", "mix": "1"}
    ((number, *shares),) = tables["Weights of the layers in learned mixes, %"]["rows"]
    assert number == "0"
    assert shares == [f"{100 * weights[layer]:.1f}" for layer in ("0", "1", "2")]
    assert {"layers.png", "slices.png", "parallel.png"} <= {path.name for path in (tmp_path / "report").iterdir()}
    assert "input.layer=mix" in (tmp_path / "report" / "report.csv").read_text()


def test_the_table_of_layers_by_hand():
    values = [(4, 0.2), (4, 0.1), ("mean", 0.15), (4, 0.3), ("mix", float("nan"))]
    records = [TrialRecord(n, {"input.layer": layer}, "finished", 1, eer) for n, (layer, eer) in enumerate(values)]
    table = layers_table([*records, TrialRecord(9, {}, "finished", 1, 0.01)], "dev_eer")
    assert table.rows == (("4", "3", "10.00 %", "20.00 %"), ("mean", "1", "15.00 %", "15.00 %"))
    assert layers_table([TrialRecord(9, {}, "finished", 1, 0.01)], "dev_eer") is None
    weights = {7: {0: 0.25, 4: 0.75}, 3: {4: 0.5, 9: 0.5}}
    mixes = layer_weights_table(weights)
    assert mixes.columns == ("trial", "layer 0", "layer 4", "layer 9")
    assert mixes.rows == (("7", "25.0", "75.0", "-"), ("3", "-", "50.0", "50.0"))
    (axes,) = plot_layer_weights(weights).axes
    assert [line.get_label() for line in axes.lines] == ["trial 7", "trial 3", "equal weights"]
    assert axes.lines[1].get_xydata().tolist() == [[4, 0.5], [9, 0.5]]
    assert axes.get_ylim() == pytest.approx((0, 0.825))

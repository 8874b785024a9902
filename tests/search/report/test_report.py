"""`spooftune report` on a real run: tables in four forms, figures, TensorBoard, score files of every partition."""

import json

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.evaluation.score_file import read_cm_scores
from search.cli.main import main
from search.runs.eval_looks import looks
from search.runs.run import Run
from search.runs.storage import Storage
from tests.commands import spooftune

SPACE = """\
name: paper-table-3
corpus: {layout: asvspoof2019_la, path: CORPUS}
experiment:
  front_end: {name: lfcc, deltas: false}
  input: {n_frames: 32}
  backbone: {name: senet18, embedding_dim: 16, width: 4}
  loss: {margin: {choice: [2.0, 0.5]}}
  classifier: {name: mlp, hidden: 8, epochs: 3}
  lr_schedule: {name: constant, lr: 2e-3}
  batch_size: 8
  epochs: 3
  snapshot_epochs: [1]
search: {sampler: grid, scheduler: none, trials: 2, concurrency: 1, storage: STORAGE}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("report")
    storage = folder / "storage"
    (folder / "s.yaml").write_text(SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(storage)))
    done = spooftune("launch", folder / "s.yaml", "--name", "r")
    assert done.returncode == 0, done.stderr + done.stdout
    return Run.open(Storage(str(storage)), "r")


@pytest.fixture(scope="module")
def reported(run):
    storage = str(run.path.parents[1])
    arguments = ["report", "r", "--storage", storage, "--eval", "--train", "--tsne", "--asv-rates", "la19"]
    assert main(arguments) == 0
    return run.path / "report-001"


def test_every_partition_has_score_files_that_the_tables_agree_with(run, reported):
    data = json.loads((reported / "report.json").read_text())
    assert [each["trial"] for each in data["trials"]] == [each.number for each in run.ranked()]
    for each in data["trials"]:
        folder = run.path / "scores" / f"{each['trial']:05d}-epoch{each['epoch']:03d}"
        assert {path.name for path in folder.iterdir()} == {"train.txt", "dev.txt", "eval.txt"}
        for partition, metrics in each["metrics"].items():
            scores = read_cm_scores(folder / f"{partition}.txt")
            assert len(scores.scores) == metrics["n_bona_fide"] + metrics["n_spoof"]
        dev = next(one for one in run.journal.trials() if one.number == each["trial"]).objective
        assert each["metrics"]["dev"]["eer"] == pytest.approx(dev, abs=2e-6)  # the tie-breaker
        assert 0 < each["metrics"]["eval"]["min_tdcf_2021"] <= 1
        assert "min_tdcf_2019" not in each["metrics"]["train"]  # the ASV's errors on train are not known


def test_the_papers_table_leads_the_report(reported):
    text = (reported / "report.txt").read_text()
    assert text.startswith("Table 3")
    assert "Siamese-SENet34_margin_1 " in text
    markdown = (reported / "report.md").read_text()
    assert "| Siamese-SENet34_margin_2 |" in markdown
    assert "1.16" in (reported / "report.csv").read_text()


def test_the_report_begins_with_what_was_exported(run, reported):
    data = json.loads((reported / "report.json").read_text())
    (bundle,) = data["exported"]
    config = json.loads((run.path / "export" / "config.json").read_text())
    assert bundle == {"folder": "export", "metrics": config["metrics"], "provenance": config["provenance"]}
    assert set(bundle["metrics"]) == {"dev"}
    table = next(table for table in data["tables"] if table["title"] == "Exported detectors")
    ((folder, trial, training, dev, on_eval, look),) = table["rows"]
    assert (folder, trial, training) == ("export", str(config["provenance"]["trial"]), "of the search")
    assert dev.startswith(f"{100 * config['metrics']['dev']['eer']:.2f} (")
    assert (on_eval, look) == ("-", "-")
    assert "Eval was not looked at with this detector." in (run.path / "export" / "README.md").read_text()


def test_costs_and_comparisons_stand_in_the_tables(reported):
    text = (reported / "report.txt").read_text()
    assert "GMACs per utterance" in text
    assert "real-time factor" in text
    assert "minus EER of another trial on eval (paired over utterances)" in text
    assert "Importance" not in text  # of two trials none is told
    assert "eval 95 % interval over speakers" in text


def test_the_figures_are_pictures_with_something_on_them(reported):
    names = {path.stem for path in reported.glob("*.png")}
    drawn = {f"{kind}-{partition}" for kind in ("det", "attacks", "scores") for partition in ("dev", "eval", "train")}
    assert names == drawn | {"tsne-eval", "history", "slices", "parallel", "tradeoff"}
    for path in reported.glob("*.png"):
        with Image.open(path) as picture:
            assert len(picture.convert("L").getcolors()) > 20


def test_tensorboard_has_the_figures_and_the_embeddings(run, reported):
    folder = run.tensorboard / "report-001"
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    assert {"report/det-eval", "report/tradeoff"} <= set(accumulator.Tags()["images"])
    config = (folder / "projector_config.pbtxt").read_text()
    metadata = sorted(folder.rglob("metadata.tsv"))
    best = json.loads((reported / "report.json").read_text())["trials"][0]["epoch"]
    assert config.count("embeddings {") == len(metadata) == len({1, best})  # after epoch 1 and after the best one
    assert metadata[0].read_text().splitlines()[0].split("\t") == ["utterance", "class", "attack"]


def test_a_second_report_scores_nothing_again_and_keeps_the_first(run, reported, capsys):
    before = {path: path.stat().st_mtime_ns for path in (run.path / "scores").rglob("*.txt")}
    storage = str(run.path.parents[1])
    capsys.readouterr()
    assert main(["report", "r", "--storage", storage, "--eval", "--no-figures", "--format", "json", "--top", "1"]) == 0
    assert len(json.loads(capsys.readouterr().out)["trials"]) == 1
    assert before == {path: path.stat().st_mtime_ns for path in (run.path / "scores").rglob("*.txt")}
    (look,) = looks(run.path)  # neither the search nor the second report looked
    assert (look.command, set(look.detectors)) == ("spooftune report --eval", {"trial 0", "trial 1"})
    data = json.loads((reported / "report.json").read_text())
    rates = {f"trial {trial['trial']}": trial["metrics"]["eval"]["eer"] for trial in data["trials"]}
    assert look.eer == rates
    assert data["eval_looks"] == 1
    assert "Looks at eval in this run: 1; the last by spooftune report --eval" in (reported / "report.md").read_text()
    assert not list((run.path / "report-002").glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--asv-scores", "eval"], "expected PARTITION=FILE"),
        (["--asv-scores", "eval=nowhere.txt"], "nowhere.txt"),
        (["--output", "OUT"], "exists already and was not changed"),
    ],
)
def test_mistakes_are_explained(run, reported, arguments, message, capsys):
    storage = str(run.path.parents[1])
    arguments = [str(reported) if each == "OUT" else each for each in arguments]
    assert main(["report", "r", "--storage", storage, *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown

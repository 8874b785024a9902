"""`spooftune evaluate-bundle`: one bundle on corpora of several layouts, partitions and qualities."""

import json
import shutil

import pytest
import soundfile
import torch

from core import bundle as bundles
from core.bundle import Bundle
from core.config import experiment_from_plain
from core.detector import build_detector
from core.evaluation.calibration import Calibration
from core.evaluation.score_file import read_cm_scores
from core.features.spectral import lfcc
from search.cli.main import main
from search.runs.eval_looks import looks, n_looks
from tests.speech import make_corpus


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A bundle with random weights, and one corpus in three layouts."""
    root = tmp_path_factory.mktemp("place [of] bundles")
    plain = {"front_end": "lfcc", "input": {"n_frames": 16}, "backbone": {"name": "resnet18", "width": 4}}
    torch.manual_seed(0)
    experiment = experiment_from_plain(plain)
    detector = build_detector(experiment, 60).eval()
    made = Bundle(detector, experiment, 60, 0.0, {}, {"corpus": "asvspoof2019_la LA"}, Calibration(2.0, 0.5))
    bundles.save(made, root / "bundle", front_end_weights={}, front_end_version=lfcc().version)
    corpus = make_corpus(root / "LA", n_per_class=3)
    protocol = corpus / "ASVspoof2019_LA_cm_protocols" / "ASVspoof2019.LA.cm.eval.trl.txt"
    lines = [line.split() for line in protocol.read_text().splitlines()]
    recordings = corpus / "ASVspoof2019_LA_eval" / "flac"
    (root / "itw").mkdir()
    table = ["file,speaker,label"]
    rows = ["path,label,partition,attack,speaker"]
    for speaker, name, _, attack, key in lines:
        shutil.copy(recordings / f"{name}.flac", root / "itw" / f"{name}.flac")
        table.append(f"{name}.flac,{speaker},{key.replace('bonafide', 'bona-fide')}")
        rows.append(f"itw/{name}.flac,{key},dev,{attack.strip('-')},{speaker}")
    (root / "itw" / "meta.csv").write_text("\n".join(table))
    (root / "mine.csv").write_text("\n".join(rows))
    return root


def evaluated(place, capsys, corpus, *arguments, code=0):
    words = ["evaluate-bundle", str(place / "bundle"), str(place / corpus), *map(str, arguments), "--json"]
    assert main(words) == code
    output = capsys.readouterr()
    return json.loads(output.out) if code == 0 else None, output.err


def test_one_bundle_on_three_corpora_has_the_same_scores(place, capsys, tmp_path):
    known = {}
    for corpus, arguments in (
        ("LA", ()),
        ("itw", ("--layout", "in_the_wild")),
        ("mine.csv", ("--layout", "csv", "--partition", "dev")),
    ):
        folder = tmp_path / corpus
        result, _ = evaluated(place, capsys, corpus, *arguments, "--output", folder)
        scores = read_cm_scores(folder / "scores.txt")
        known[corpus] = sorted(scores.scores.tolist())
        assert (result["n_bona_fide"], result["n_spoof"], result["calibrated"]) == (3, 3, True)
        assert scores.speaker_ids is not None
        assert json.loads((folder / "metrics.json").read_text())["eer"] == result["eer"]
        assert {path.name for path in folder.glob("*.png")} >= {"det.png", "scores.png"}
        assert ("by_attack" in result) == (corpus != "itw")
    assert known["LA"] == known["itw"] == known["mine.csv"]
    loaded = bundles.load(place / "bundle")
    paths = sorted((place / "itw").glob("*.flac"))
    assert known["itw"] == sorted(score for _, score in bundles.score(loaded, paths))


def test_the_score_file_is_one_that_evaluate_reads(place, capsys, tmp_path):
    result, _ = evaluated(place, capsys, "LA", "--output", tmp_path / "new", "--no-figures")
    assert not list((tmp_path / "new").glob("*.png"))
    assert main(["evaluate", str(tmp_path / "new" / "scores.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["eer"] == result["eer"]


def test_a_space_names_the_corpus(place, capsys, tmp_path):
    entry = f"eval: [{{name: wild, layout: in_the_wild, path: {json.dumps(str(place / 'itw'))}}}]"
    (tmp_path / "s.yaml").write_text(
        f"name: s\ncorpus: {{layout: csv, path: x.csv}}\n{entry}\nexperiment: {{front_end: lfcc}}\n"
    )
    arguments = ["--space", str(tmp_path / "s.yaml"), "--no-figures", "--output", str(tmp_path / "new")]
    assert main(["evaluate-bundle", str(place / "bundle"), "wild", *arguments]) == 0
    assert "3 bona fide, 3 spoofed" in capsys.readouterr().out
    assert main(["evaluate-bundle", str(place / "bundle"), "wilt", *arguments]) == 2
    assert "section eval has no corpus 'wilt'; there are wild; did you mean 'wild'?" in capsys.readouterr().err


def test_every_look_at_eval_is_recorded_in_the_bundle(place, capsys, tmp_path):
    bundle = shutil.copytree(place / "bundle", tmp_path / "bundle", ignore=shutil.ignore_patterns("eval*"))
    for number, partition in enumerate(("dev", "eval", "eval")):
        arguments = [str(bundle), str(place / "LA"), "--partition", partition, "--no-figures", "--json"]
        assert main(["evaluate-bundle", *arguments, "--output", str(tmp_path / str(number))]) == 0
        output = capsys.readouterr()
        assert n_looks(bundle) == number
        assert (f"look {number} at eval" in output.err) == (partition == "eval")
    last = looks(bundle)[-1]
    assert (last.number, last.corpus, last.partition) == (2, "asvspoof2019_la LA", "eval")
    assert last.eer == {str(bundle): json.loads(output.out)["eer"]}


def test_results_are_not_overwritten(place, capsys):
    first, message = evaluated(place, capsys, "LA", "--partition", "dev", "--no-figures")
    folder = place / "bundle" / "evaluations" / "asvspoof2019_la-LA-dev"
    assert first["scores"] == str(folder / "scores.txt")
    assert str(folder) in message  # square brackets in a path are no markup
    before = (folder / "scores.txt").read_bytes()
    _, message = evaluated(place, capsys, "LA", "--partition", "dev", code=2)
    assert "exists already and was not changed; choose another --output" in message
    assert (folder / "scores.txt").read_bytes() == before


@pytest.mark.parametrize(
    ("corpus", "arguments", "words"),
    [
        ("absent", (), "no such folder"),
        ("itw", ("--layout", "in_the_wold"), "did you mean 'in_the_wild'?"),
        ("itw", ("--layout", "in_the_wild", "--partition", "dev"), "has no partition 'dev'; it has eval"),
        ("itw", ("--layout", "in_the_wild", "--set", "part=dev"), "in_the_wild has no 'part'; it takes partition"),
        ("itw", ("--layout", "folders", "--set", "bona_fide=[.]"), "eval has only bona fide utterances"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_scoring(place, capsys, tmp_path, corpus, arguments, words):
    _, message = evaluated(place, capsys, corpus, *arguments, "--output", tmp_path / "new", code=2)
    assert words in message
    assert not (tmp_path / "new").exists()


def test_a_recording_that_cannot_be_scored_stops_or_is_left_out(place, capsys, tmp_path):
    shutil.copytree(place / "itw", tmp_path / "itw")
    broken = sorted((tmp_path / "itw").glob("*.flac"))[0]
    soundfile.write(broken, [0.0] * 10, 16000)
    arguments = ["evaluate-bundle", str(place / "bundle"), str(tmp_path / "itw"), "--layout", "in_the_wild"]
    output = tmp_path / "new"
    assert main([*arguments, "--output", str(output)]) == 2
    message = capsys.readouterr().err
    assert str(broken) in message
    assert "--on-bad-audio skip leaves such recordings out" in message
    assert not output.exists()
    assert main([*arguments, "--output", str(output), "--on-bad-audio", "skip", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["skipped"]) == 1
    assert str(broken) in result["skipped"][0]
    assert result["n_bona_fide"] + result["n_spoof"] == 5

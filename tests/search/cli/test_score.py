import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import torch
from matplotlib import image

from core import bundle
from core.bundle import Durations, pieces
from core.config import experiment_from_plain
from core.detector import build_detector
from core.errors import InputError, Unavailable
from core.evaluation.calibration import Calibration
from search.cli.main import main
from search.cli.recordings import recordings
from search.report.score_lines import score_lines


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    plain = {
        "front_end": "lfcc",
        "input": {"n_frames": 20},
        "backbone": {"name": "senet18", "width": 4, "embedding_dim": 16},
        "classifier": {"name": "mlp", "hidden": 8},
    }
    experiment = experiment_from_plain(plain)
    measured = {"dev": {"eer": 0.1, "auc": 0.9, "n_bona_fide": 1, "n_spoof": 1}}
    made = bundle.Bundle(
        build_detector(experiment, 60).eval(),
        experiment,
        60,
        0.0,
        measured,
        {},
        calibration=Calibration(2.0, 1.0),
        durations={"train": Durations(0.2, 0.3, 0.5)},
    )
    folder = tmp_path_factory.mktemp("bundle") / "b"
    bundle.save(made, folder, front_end_weights={}, front_end_version=2)
    return folder


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Recordings in folders, one of them long; the working folder has them."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(["a.wav", "b.flac", "sub/a.wav", "sub/long.wav", "sub/deep/c.OGG"]):
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        n_samples = 16000 if name == "sub/long.wav" else 6400
        noise = np.random.default_rng(number).normal(size=n_samples) * 0.1
        soundfile.write(path, noise, 16000, format=path.suffix[1:].upper())
    (tmp_path / "clips" / "notes.txt").write_text("no recording")
    return tmp_path / "clips"


ALL = ["clips/a.wav", "clips/b.flac", "clips/sub/a.wav", "clips/sub/deep/c.OGG", "clips/sub/long.wav"]


def test_files_folders_patterns_and_lists(clips):
    def named(*arguments):
        return [str(path) for path in recordings(arguments)]

    assert named("clips") == ALL
    assert named("clips/**/*.wav") == ["clips/a.wav", "clips/sub/a.wav", "clips/sub/long.wav"]
    assert named(str(clips / "*.flac")) == [str(clips / "b.flac")]
    assert named("clips/b.flac", "clips", "absent.wav") == ["clips/b.flac", *ALL[:1], *ALL[2:], "absent.wav"]
    (clips / "list.txt").write_text("\ufeffclips/sub\n\nclips/*.flac\nabsent.wav\n")
    assert named("@clips/list.txt") == [*ALL[2:], "clips/b.flac", "absent.wav"]
    (clips / "odd[1].wav").write_bytes(b"")
    assert named("clips/odd[1].wav") == ["clips/odd[1].wav"]


def test_arguments_without_recordings_are_told_together(clips, capsys):
    (clips / "empty").mkdir()
    (clips / "none.txt").write_text("\n")
    arguments = ["clips/empty", "clips/*.mp4", "@clips/none.txt", "@nowhere"]
    assert main(["score", "b", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    words = ["no recordings", "no file matches", "the list is empty", "the list cannot be read"]
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * 4
    (clips / "a\tb.wav").write_bytes(b"")
    with pytest.raises(InputError, match="its name has a tab"):
        recordings(["clips"])


def test_an_interrupted_output_is_continued_and_nothing_is_scored_twice(exported, clips, capsys, monkeypatch):
    assert main(["score", str(exported), "clips", "--output", "whole.tsv"]) == 0
    whole = capsys.readouterr().out
    assert (clips.parent / "whole.tsv").read_text() == whole
    begun = clips.parent / "begun.tsv"
    assert main(["score", str(exported), *ALL[:2], "absent.wav", "--output", "begun.tsv"]) == 1
    assert main(["score", str(exported), "clips", "--output", "begun.tsv"]) == 2
    assert "--resume continues it" in capsys.readouterr().err
    begun.write_text(begun.read_text() + ALL[2])  # what a machine that failed may leave
    loaded = []
    real = pieces.audio.load
    monkeypatch.setattr(pieces.audio, "load", lambda path, *rest: loaded.append(str(path)) or real(path, *rest))
    assert main(["score", str(exported), "clips", "--output", "begun.tsv", "--resume"]) == 0
    told = capsys.readouterr()
    assert "2 of 5 recordings have a score in begun.tsv" in told.err
    assert told.out.count("\n") == 3
    assert sorted(loaded) == ALL[2:4]  # the long one is read in blocks
    assert [line.split("\t")[0] for line in begun.read_text().splitlines()] == ALL
    scores = [[float(line.split("\t")[1]) for line in text.splitlines()] for text in (begun.read_text(), whole)]
    np.testing.assert_allclose(*scores, atol=1e-5)
    assert main(["score", str(exported), "clips", "--output", "begun.tsv", "--resume"]) == 0
    assert capsys.readouterr().out == ""


def test_an_output_of_other_settings_is_not_continued(exported, clips, capsys):
    assert main(["score", str(exported), ALL[0], "--output", "o.tsv", "--resume"]) == 0
    before = (clips.parent / "o.tsv").read_text()
    assert main(["score", str(exported), "clips", "--output", "o.tsv", "--resume", "--rule", "mean"]) == 2
    assert "was made otherwise (rule was {'name': 'quantile'" in capsys.readouterr().err
    assert main(["score", str(exported), "clips", "--resume"]) == 2
    assert "--resume needs --output" in capsys.readouterr().err
    (clips.parent / "o.tsv.settings.json").unlink()
    assert main(["score", str(exported), "clips", "--output", "o.tsv", "--resume"]) == 2
    assert (clips.parent / "o.tsv").read_text() == before


def test_two_processes_do_not_write_one_output(tmp_path):
    with score_lines(tmp_path / "o.tsv", {}, resume=True) as lines:
        lines.write("a\t1\tspoof")
        with pytest.raises(Unavailable, match="another process"), score_lines(tmp_path / "o.tsv", {}, resume=True):
            pass
    with score_lines(tmp_path / "o.tsv", {}, resume=True) as lines:
        assert lines.done == {"a"}


def test_a_killed_process_leaves_whole_lines_that_the_next_one_continues(exported, clips):
    named = clips.parent / "many.txt"
    copies = []
    for number in range(400):
        copies.append(clips / f"copy-{number}.wav")
        copies[-1].symlink_to(clips / "a.wav")
    named.write_text("\n".join(map(str, copies)))
    command = [sys.executable, "-m", "search.cli.main", "score", str(exported), "@many.txt", "--output", "o.tsv"]
    run = "import sys; from search.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", run, *command[3:]]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    output = clips.parent / "o.tsv"
    while process.poll() is None and not (output.exists() and output.stat().st_size):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = output.read_text()
    assert done.endswith("\n")
    assert all(len(line.split("\t")) == 3 for line in done.splitlines())
    assert main([*command[3:], "--resume"]) == 0
    assert output.read_text().startswith(done)
    assert [line.split("\t")[0] for line in output.read_text().splitlines()] == list(map(str, copies))


def test_scores_over_time_and_warnings_outside_training(exported, clips, capsys):
    soundfile.write(clips / "short.wav", np.random.default_rng(0).normal(size=2400) * 0.1, 16000)
    arguments = ["clips/sub/long.wav", "clips/a.wav", "clips/sub/a.wav", "clips/short.wav"]
    assert main(["score", str(exported), *arguments, "--segments", "over", "--llr"]) == 0
    told = capsys.readouterr()
    folder = clips.parent / "over"
    names = ["a.wav", "a.wav-2", "long.wav", "short.wav"]
    suffixes = (".json", ".png", ".tsv")
    assert {path.name for path in folder.iterdir()} == {f"{name}{suffix}" for name in names for suffix in suffixes}
    described = json.loads((folder / "long.wav.json").read_text())
    path, score, decision = told.out.splitlines()[0].split("\t")
    assert (path, decision) == (described["recording"], described["decision"])
    assert described["score"] == pytest.approx(float(score), abs=1e-6)
    assert described["scale"] == "log-likelihood ratio"
    assert described["threshold"] == 1.0
    assert described["made_of"] == {"name": "quantile", "fraction": 0.1}
    assert described["score"] == pytest.approx(
        np.quantile([segment["score"] for segment in described["segments"]], 0.1), abs=1e-6
    )
    rows = [line.split("\t") for line in (folder / "long.wav.tsv").read_text().splitlines()]
    assert rows[0] == ["begin_s", "end_s", "score", "decision"]
    assert (rows[1][0], rows[-1][1]) == ("0.000", "1.000")
    assert [row[3] for row in rows[1:]] == [segment["decision"] for segment in described["segments"]]
    assert (described["stretches"][0]["begin_s"], described["stretches"][-1]["end_s"]) == (0, 1)
    picture = image.imread(folder / "long.wav.png")
    assert picture.shape == (540, 1200, 4)
    assert picture.std() > 0.05
    assert "long.wav (1.0 s): longer than the longest utterance of the search (0.5 s): scored in segments" in told.err
    assert "short.wav (0.1 s): shorter than all utterances of training (0.2 s)" in told.err
    assert "a.wav (0.4 s): scored as in the search, whose windows leave parts of it out" in told.err
    assert "2 recordings: scored as in the search" in told.err
    assert main(["score", str(exported), "clips/a.wav", "--segments", "over"]) == 2
    assert main(["score", str(exported), "clips/a.wav", "--longer-than", "0", "--step", "2"]) == 2
    assert "step between segments is 2" in capsys.readouterr().err

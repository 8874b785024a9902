import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.features.wav2vec import wav2vec
from search.cli.main import main
from search.pretrain import read_pretraining

ROOT = Path(__file__).resolve().parents[2]
YAML = """\
corpus: {layout: asvspoof2019_la, path: CORPUS}
output: OUTPUT
pretraining: {size: tiny, seconds: 0.4, n_steps: 3, n_negatives: 4, batch_size: 4, epochs: 3}
"""


@pytest.fixture
def config(corpus, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(YAML.replace("CORPUS", str(corpus)).replace("OUTPUT", str(tmp_path / "out")))
    return path


def test_from_a_yaml_to_a_front_end(config, tmp_path, capsys):
    assert main(["pretrain", str(config)]) == 0
    shown = capsys.readouterr().out
    weights = tmp_path / "out" / "wav2vec.safetensors"
    assert f"checkpoint: {weights}" in shown
    assert shown.count("held-out loss") == 4
    assert wav2vec(checkpoint=str(weights)).n_features == 16
    accumulator = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    accumulator.Reload()
    assert [each.step for each in accumulator.Scalars("pretraining/held_out_info_nce")] == [1, 2, 3]
    before = weights.read_bytes()
    assert main(["pretrain", str(config)]) == 0  # nothing left to do: the same network again
    assert weights.read_bytes() == before


def test_bona_fide_speech_of_train_alone_is_read(config, corpus):
    files = read_pretraining(config).files
    protocol = next(corpus.glob("*cm_protocols/*train*")).read_text().splitlines()
    wanted = {line.split()[1] for line in protocol if line.endswith("bonafide")}
    assert {path.stem for path in files} == wanted


def test_a_folder_of_speech(config, corpus, tmp_path):
    plan = read_pretraining(ROOT / "spaces" / "pretrain" / "small.yaml", [f"speech={corpus}"])
    assert len(plan.files) == len(list(corpus.rglob("*.flac")))
    assert plan.options.size == "small"


def test_sigterm_stops_it_and_the_next_call_goes_on(config, tmp_path):
    out = tmp_path / "out"
    text = config.read_text().replace("epochs: 3", "epochs: 400")
    config.write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "search.cli.main", "pretrain", str(config)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    for _ in range(3000):
        if (out / "checkpoint.pt").exists():
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 130
    assert "Traceback" not in process.stderr.read()
    again = subprocess.Popen(
        [sys.executable, "-m", "search.cli.main", "pretrain", str(config)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    lines = [again.stdout.readline() for _ in range(2)]
    again.terminate()
    again.wait(60)
    assert "resuming after epoch" in lines[1]


def test_another_pretraining_in_the_same_folder_is_refused(config, tmp_path, capsys):
    assert main(["pretrain", str(config)]) == 0
    assert main(["pretrain", str(config), "--set", "pretraining.lr=0.01"]) == 2
    assert "lr was 0.003 and is 0.01" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    assert main(["pretrain", str(config), "--set", f"output={other}"]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "pretraining.json").read_text())["options"]["lr"] == 3e-3


def test_all_mistakes_come_at_once_with_their_lines(tmp_path, capsys):
    path = tmp_path / "p.yaml"
    path.write_text("speach: a\noutput: 3\npretraining:\n  size: huge\n  epoch: 4\n")
    assert main(["pretrain", str(path)]) == 2
    shown = capsys.readouterr().err
    for message in ("p.yaml:1: no section 'speach'", "p.yaml:2: output is 3", "p.yaml:4: pretraining.size is 'huge'"):
        assert message in shown
    assert "p.yaml:5: pretraining: no 'epoch'" in shown
    assert "did you mean 'epochs'" in shown
    assert "speech is None" in shown
    assert "Traceback" not in shown


def test_every_value_that_cannot_be_is_told_with_its_own_line(tmp_path, capsys):
    path = tmp_path / "p.yaml"
    path.write_text("speech: a\noutput: b\npretraining:\n  epochs: 0\n  held_out: 1.5\n")
    assert main(["pretrain", str(path)]) == 2
    shown = capsys.readouterr().err
    assert "p.yaml:4: pretraining: epochs is 0; it must be at least 1" in shown
    assert "p.yaml:5: pretraining: held_out is 1.5; it must lie between 0 and 1" in shown

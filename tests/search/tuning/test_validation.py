"""A search that is judged by attacks left out of training, launched from Python."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search.cli.main import main
from search.runs.run import Run
from search.runs.storage import Storage
from search.tuning.tensorboard import folder_of
from tests.search.conftest import SPACE


def written(folder, corpus, validation):
    text = SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(folder / "storage"))
    text = text.replace("search:\n", f"search:\n  validation: {validation}\n").replace("trials: 6", "trials: 2")
    text = text.replace("concurrency: 2", "concurrency: 1")  # a process takes longer to start than a trial to train
    (folder / "s.yaml").write_text(text)
    return folder / "s.yaml"


def test_folds_rank_the_trials_and_are_shown(tmp_path, corpus, capsys):
    space = written(tmp_path, corpus, "{name: attack_folds, k: 2}")
    assert main(["check", str(space)]) == 0
    shown = capsys.readouterr().out
    assert "objective fold_eer" in shown
    assert "attack_folds k=2" in shown
    code = f"""
import json, ray, spooftune
run = spooftune.search({str(space)!r}, name="f", changes={{"search.sampler": "random"}})
assert not ray.is_initialized()
print(json.dumps([run.best, run.trials(), str(run.bundle), run.info["state"]]))
spooftune.load(run.bundle)
"""
    # A package of the user that has the name of ours, in the current folder: -P keeps it from the driver as the command
    # does, and trials must not have it either.
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "__init__.py").write_text("raise RuntimeError('the core of the user')")
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "best fold_eer" in done.stdout
    best, trials, bundle, state = json.loads(done.stdout.splitlines()[-1])
    assert best == min(trials, key=lambda row: row["objective"])
    assert (Path(bundle), state) == (tmp_path / "storage" / "runs" / "f" / "export", "finished")
    run = Run.open(Storage(str(tmp_path / "storage")), "f")
    for each in run.journal.trials():
        # The tie-breaker lies below what is shown.
        assert each.objective == pytest.approx(each.metrics["best_fold_eer"], abs=2e-6)
        accumulator = EventAccumulator(str(folder_of(run.tensorboard, each.number, each.values, "search")))
        accumulator.Reload()
        assert len(accumulator.Scalars("folds/eer")) == each.epoch


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ("attack_fold", "did you mean 'attack_folds'"),
        ("{name: attack_folds, k: 1}", "k is 1"),
        ("{name: attack_folds, k: 7}", "dev has 2 attacks"),
        ("{name: held_out_attacks, attacks: [A09]}", "dev has no attack 'A09'"),
    ],
)
def test_mistakes_are_found_before_ray_starts(tmp_path, corpus, validation, message, capsys):
    assert main(["check", str(written(tmp_path, corpus, validation))]) == 2
    assert message in capsys.readouterr().err

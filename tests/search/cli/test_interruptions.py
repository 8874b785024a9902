"""SIGTERM at every stage of a search: one sentence, exit code 130, and the run can be resumed."""

import os
import signal
import time

import pytest

from search.cli import local, searches, terminal
from search.cli.main import main
from search.runs.run import Run
from search.tuning import launch

STAGES = {
    "before the run": (local, "check_eval", None, "interrupted"),
    "the corpus": (terminal, "show_corpus", None, "was interrupted before its first step; launch it"),
    "extraction": (launch, "build_stores", "interrupted", "interrupted while it extracted features; spooftune resume"),
    "start of Ray": (launch, "start_ray", "interrupted", "was interrupted while its trials ran; spooftune resume"),
    "trials": (launch, "tune_trials", "interrupted", "was interrupted while its trials ran; spooftune resume"),
    "confirmation": (launch, "confirm_trials", "interrupted", "while it trained the best again; spooftune resume"),
    "export": (local, "conclude", "finished", "interrupted after its search, which is recorded; spooftune export"),
}
"""Stage -> module and function at whose start the signal comes, state of the run afterwards, and the sentence."""


@pytest.mark.parametrize("stage", STAGES)
def test_sigterm_is_one_sentence_and_130_and_the_run_can_be_resumed(stage, space_file, tmp_path, monkeypatch, capsys):
    where, name, state, sentence = STAGES[stage]
    heard = signal.getsignal(signal.SIGTERM)
    run = Run(tmp_path / "storage" / "runs" / "r")

    def terminate(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    def confirm(plan, run, state, **options):
        run.update(state="confirming")
        terminate()

    for later, result in (("build_stores", {}), ("start_ray", None), ("tune_trials", "finished")):
        monkeypatch.setattr(launch, later, lambda *arguments, result=result, **options: result)
    monkeypatch.setattr(launch, "confirm_trials", lambda plan, run, state, **options: run.update(state=state))
    monkeypatch.setattr(where, name, confirm if stage == "confirmation" else terminate)
    assert main(["launch", str(space_file), "--name", "r"]) == 130
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert sentence in shown[0]
    assert signal.getsignal(signal.SIGTERM) is heard
    assert run.path.exists() == (state is not None)
    if state is not None:
        assert run.info()["state"] == state
        assert not run.alive()
        assert run.owner().released
        monkeypatch.setattr(searches, "conclude", lambda *arguments: 0)
        monkeypatch.setattr(launch, "confirm_trials", lambda plan, run, state, **options: state)
        for later, result in (("build_stores", {}), ("start_ray", None), ("tune_trials", "finished")):
            monkeypatch.setattr(launch, later, lambda *arguments, result=result, **options: result)
        assert main(["resume", "r", "--storage", str(tmp_path / "storage")]) == 0

"""A run knows its corpus and its weights by content: later stages refuse others, wherever the same ones lie."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from core import features as features_module
from core.errors import InputError
from core.features.weights import digests
from search.cli.shared_arguments import open_run
from search.prepare.identity import IDENTITY, check_identity, placed_experiment, record_identity
from search.prepare.plan import make_plan
from search.report.export import export
from search.report.report import ReportOptions, write_report
from search.runs.output import Output
from search.runs.run import Run
from search.runs.storage import Storage
from search.space.places import make_absolute
from search.space.reader import read_space
from search.tuning.launch import resume_search
from tests.core.stores.conftest import Toy
from tests.search.conftest import SPACE
from tests.speech import make_corpus

CONSOLE = Console(quiet=True)
DEV = "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.dev.trl.txt"


@pytest.fixture
def root(tmp_path):
    return make_corpus(tmp_path / "LA", n_per_class=4, duration_s=0.2)


def launched(tmp_path, root, front_end="{name: lfcc, deltas: false}"):
    """A run as `launch` leaves it when it is interrupted before its first trial."""
    text = SPACE.replace("CORPUS", str(root)).replace("STORAGE", str(tmp_path / "storage"))
    (tmp_path / "tiny.yaml").write_text(text.replace("{name: lfcc, deltas: false}", front_end))
    storage = Storage(str(tmp_path / "storage"))
    plan = make_plan(read_space(tmp_path / "tiny.yaml"), storage)
    run = Run.create(storage, prefix="tiny", name="r")
    run.update(name="r", state="interrupted", n_trials=6, objective="dev_eer")
    run.change_space(plan.space)
    record_identity(run, plan)
    return run


def opened(tmp_path, *changes):
    return open_run("r", str(tmp_path / "storage"), list(changes))


def drop_lines(root):
    path = root / DEV
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-2]))


def flip_a_bit(root):
    path = sorted((root / "ASVspoof2019_LA_train" / "flac").iterdir())[3]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rename_an_attack(root):
    path = root / DEV
    path.write_text(path.read_text().replace("A01 spoof", "A05 spoof", 1))


def turn_round(root):
    path = root / DEV
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))


CHANGES = {
    drop_lines: r"dev has changed.*it had 8 utterances and has 6; 2 missing, such as T_D_0000006",
    flip_a_bit: r"train has changed.*it had 8 utterances and has 8; 1 with another recording, such as T_T_0000003",
    rename_an_attack: r"dev has changed.*1 with another label, speaker, attack or maker",
    turn_round: r"dev has changed.*the utterances are in another order",
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_stage_goes_on_over_a_changed_corpus(tmp_path, root, change):
    run = launched(tmp_path, root)
    check_identity(*opened(tmp_path))
    change(root)
    run, plan = opened(tmp_path)
    keys = dict.fromkeys(("hours", "gpu_hours", "address"))
    stages = {
        "resume": lambda: resume_search(plan, run, n_trials=9, retry_failed=False, output=Output(CONSOLE), **keys),
        "export": lambda: export(run, plan, tmp_path / "b", console=CONSOLE),
        "report": lambda: write_report(run, plan, tmp_path / "report", ReportOptions(), CONSOLE),
    }
    for stage in stages.values():
        with pytest.raises(InputError, match=CHANGES[change]) as raised:
            stage()
        assert "--set 'search.warm_start=[r]' --storage" in str(raised.value)
    assert run.info()["state"] == "interrupted"
    check_identity(run, plan, corpus_may_differ=True)


def test_a_corpus_that_moved_is_named_again_and_its_stores_serve(tmp_path, root):
    run = launched(tmp_path, root)
    before = [store.path for store in opened(tmp_path)[1].stores]
    shutil.move(root, tmp_path / "new")
    with pytest.raises(InputError, match="LA"):
        opened(tmp_path)
    moved, plan = opened(tmp_path, f"corpus.path={tmp_path / 'new'}")
    check_identity(moved, plan)
    assert [store.path for store in plan.stores] == before
    with pytest.raises(InputError, match="only places can be named again"):
        opened(tmp_path, "experiment.epochs=3")
    flip_a_bit(tmp_path / "new")
    with pytest.raises(InputError, match="with another recording"):
        check_identity(*opened(tmp_path, f"corpus.path={tmp_path / 'new'}"))
    assert run.path == moved.path


def test_a_run_of_an_earlier_version_goes_on(tmp_path, root):
    run = launched(tmp_path, root)
    (run.path / IDENTITY).unlink()
    drop_lines(root)
    check_identity(*opened(tmp_path))
    shutil.copytree(root, tmp_path / "new")
    with pytest.raises(InputError, match="cannot be named again: an earlier version launched it"):
        check_identity(*opened(tmp_path, f"corpus.path={tmp_path / 'new'}"))


@pytest.fixture
def pretrained(monkeypatch):
    def front_end(*, checkpoint: str):
        built = Toy(1.0)
        try:
            built.weights = digests([Path(checkpoint)])
        except OSError as error:
            raise InputError(f"{checkpoint}: cannot be read") from error
        return built

    monkeypatch.setitem(features_module.FRONT_ENDS, "pretrained", front_end)


def test_weights_that_were_replaced_are_refused_and_those_that_moved_are_named_again(tmp_path, root, pretrained):
    weights, elsewhere = tmp_path / "w.pt", tmp_path / "elsewhere.pt"
    weights.write_bytes(b"one")
    run = launched(tmp_path, root, f"{{name: pretrained, checkpoint: {weights}}}")
    experiment = opened(tmp_path)[1].stores[0].experiment
    weights.rename(elsewhere)
    weights.write_bytes(b"two")
    run, plan = opened(tmp_path)
    with pytest.raises(InputError, match=r"the weights have SHA-256 w\.pt \w{64}; the run was launched with w\.pt"):
        export(run, plan, tmp_path / "b", console=CONSOLE)
    with pytest.raises(InputError, match="put the weights of its launch back"):
        write_report(run, plan, tmp_path / "report", ReportOptions(), CONSOLE)
    weights.unlink()
    run, plan = opened(tmp_path, f"experiment.front_end.checkpoint={elsewhere}")
    check_identity(run, plan)
    assert placed_experiment(experiment, run, plan).front_end.options["checkpoint"] == str(elsewhere)
    elsewhere.write_bytes(b"two")
    with pytest.raises(InputError, match="the run was launched with"):
        check_identity(*opened(tmp_path, f"experiment.front_end.checkpoint={elsewhere}"))


def test_paths_of_a_space_are_absolute_whatever_the_folder_of_a_command(tmp_path, monkeypatch):
    (tmp_path / "spaces").mkdir()
    for name in ("here.csv", "spaces/beside.pt"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    front_end = {"name": "wav2vec", "checkpoint": {"choice": ["beside.pt", "gone.pt"]}}
    data = {"corpus": {"path": "here.csv", "layout": "csv"}, "experiment": {"front_end": front_end}}
    make_absolute(data, tmp_path / "spaces")
    assert data["corpus"] == {"path": str(tmp_path / "here.csv"), "layout": "csv"}
    assert front_end["checkpoint"]["choice"] == [str(tmp_path / "spaces" / "beside.pt"), "gone.pt"]


def test_commands_in_messages_name_the_storage_unless_it_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Storage("storage").option == ""
    assert Storage("my runs").option == f" --storage '{tmp_path / 'my runs'}'"


def test_the_record_is_plain_data(tmp_path, root):
    run = launched(tmp_path, root)
    identity = json.loads((run.path / IDENTITY).read_text())
    assert sorted(identity["partitions"]) == ["dev", "train"]  # a search does not open eval
    assert len(identity["partitions"]["dev"]) == 8

"""Copies of training utterances: what they are, what the table says of them, what a training takes of them."""

import csv

import numpy as np
import pytest
import soundfile

from core.config import experiment_from_plain
from core.corpora.copies import WIDENERS, widen
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.stores.extraction import extract
from core.stores.store import chosen_part
from core.training.fit import epochs
from search.cli.main import main
from tests.core.training.test_fit import PLAIN
from tests.search.conftest import SPACE
from tests.speech import make_corpus


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return CORPORA["asvspoof2019_la"](make_corpus(tmp_path_factory.mktemp("widen") / "LA", n_per_class=6))


@pytest.fixture(scope="module")
def widened(original, tmp_path_factory):
    folder = tmp_path_factory.mktemp("widened")
    lines = []
    table = widen(original, folder, ["griffin_lim", "mulaw"], report=lines.append)
    assert lines == ["18 of 18 copies"]  # six bona fide by the vocoder, all twelve by the codec
    return CORPORA["csv"](table)


@pytest.fixture(scope="module")
def stores(original, widened, tmp_path_factory):
    root = tmp_path_factory.mktemp("stores")
    experiment = experiment_from_plain(PLAIN)
    found = {}
    for name, corpus in (("original", original), ("widened", widened)):
        for partition in ("train", "dev"):
            utterances = corpus.partition(partition)
            found[name, partition] = extract(utterances, experiment.front_end, experiment.audio, root=root)
    return found


def speech(n=16000, seed=0):
    draw = np.random.default_rng(seed)
    time = np.arange(n) / 16000
    voiced = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20)) * (1 + np.sin(2 * np.pi * 3 * time))
    return 0.02 * (voiced + 0.1 * draw.normal(size=n))


@pytest.mark.parametrize("name", WIDENERS)
def test_a_copy_is_as_long_finite_another_and_repeats(name):
    waveform = speech()
    one, two, other = (WIDENERS[name].make(waveform, np.random.default_rng(seed)) for seed in (1, 1, 2))
    n = len(waveform)
    assert abs(len(one) - n) <= 400
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, two)
    kept = min(n, len(one))
    assert np.mean((one[:kept] - waveform[:kept]) ** 2) > 1e-4 * np.mean(waveform**2)
    assert np.sqrt(np.mean(one**2)) == pytest.approx(np.sqrt(np.mean(waveform**2)), rel=0.7)
    if name in ("rawboost", "world_coded", "lpc_vocoder"):
        assert not np.array_equal(one, other)


def test_a_telephone_has_no_treble():
    noise = np.random.default_rng(0).normal(size=16000) / 10
    power = np.abs(np.fft.rfft(WIDENERS["mulaw"].make(noise, np.random.default_rng(0)))) ** 2
    assert power[4500:].sum() < 0.02 * power.sum()  # bins of 1 Hz


def test_the_table_holds_originals_and_copies(original, widened):
    for partition in ("dev", "eval"):
        assert [each.utterance_id for each in widened.partition(partition)] == [
            each.utterance_id for each in original.partition(partition)
        ]
    train = widened.partition("train")
    before = {each.utterance_id: each for each in original.partition("train")}
    assert len(train) == 12 + 18
    for each in train:
        root, _, name = each.utterance_id.partition("+")
        assert each.speaker_id == before[root].speaker_id
        assert each.source == root
        assert each.copy == (name or None)
        if name == "griffin_lim":
            assert (before[root].label, each.label, each.attack_id) == (1, 0, "X-griffin_lim")
        else:
            assert (each.label, each.attack_id) == (before[root].label, before[root].attack_id)
        if not name:
            assert each.path == before[root].path
    assert not {each.source for each in train} & {each.source for each in widened.partition("dev")}


def test_a_table_of_an_earlier_version_is_an_error_that_says_what_to_do(widened, tmp_path):
    # Its ids alone name the copies: read as it stands, every training would take them for originals.
    with widened.root.open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name != "copy"]
    with (tmp_path / "corpus.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(InputError, match=r"no column `copy`.*run spooftune corpus widen again") as raised:
        CORPORA["csv"](tmp_path / "corpus.csv").partition("train")
    assert len(raised.value.problems) == 1


def test_ids_of_copies_are_unique_and_widening_a_widened_corpus_keeps_who_made_what(widened, tmp_path):
    train = widened.partition("train")
    assert len({each.utterance_id for each in train}) == len(train)
    again = CORPORA["csv"](widen(widened, tmp_path, [])).partition("train")
    assert [(each.utterance_id, each.copy) for each in again] == [(each.utterance_id, each.copy) for each in train]


def test_what_is_there_is_left_alone_and_more_can_be_added(original, widened):
    folder = widened.root.parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.flac")}
    lines = []
    widen(original, folder, ["griffin_lim", "mulaw", "rawboost"], report=lines.append)
    assert lines == ["12 of 12 copies"]
    assert before.items() <= {path: path.stat().st_mtime_ns for path in folder.rglob("*.flac")}.items()
    widen(original, folder, ["griffin_lim", "mulaw"])


def test_copies_have_the_length_of_their_original(widened):
    for each in widened.partition("train"):
        if each.utterance_id.endswith("+mulaw"):
            original = each.path.parent  # named after the original
            assert soundfile.info(each.path).frames > 0
            assert original.name == "mulaw"


def test_a_training_takes_the_originals_and_what_it_names(stores):
    train = stores["widened", "train"]
    assert chosen_part(train, ()).utterance_ids == stores["original", "train"].utterance_ids
    part = chosen_part(train, ("griffin_lim",))
    assert len(part) == 12 + 6
    assert part.copies == [None if "+" not in name else "griffin_lim" for name in part.utterance_ids]
    assert set(part.copies) == {None, "griffin_lim"}
    original = stores["original", "train"]
    assert chosen_part(original, ()) is original
    with pytest.raises(
        InputError, match=r"no utterances made by 'mulw'; it has griffin_lim, mulaw; did you mean 'mulaw'"
    ):
        chosen_part(train, ("mulw",))
    with pytest.raises(InputError, match="it has no copies; spooftune corpus widen makes such copies"):
        chosen_part(original, ("mulaw",))


def trained(stores, widen):
    experiment = experiment_from_plain({**PLAIN, "epochs": 1, "widen": widen})
    ((measured, state),) = epochs(experiment, stores["widened", "train"], stores["widened", "dev"])
    return measured, {name: value.clone() for name, value in state["detector"].items()}


def test_without_copies_a_training_is_that_of_the_originals(stores):
    experiment = experiment_from_plain({**PLAIN, "epochs": 1})
    ((measured, state),) = epochs(experiment, stores["original", "train"], stores["original", "dev"])
    again, detector = trained(stores, [])
    assert again == measured
    assert all((detector[name] == value).all() for name, value in state["detector"].items())
    _, other = trained(stores, ["mulaw"])
    assert any((detector[name] != value).any() for name, value in other.items())


def test_unknown_copies_are_explained(original, tmp_path):
    with pytest.raises(InputError, match=r"no 'world'; there are griffin_lim, .* did you mean 'world_coded'"):
        widen(original, tmp_path, ["world"])


def test_the_command_line_widens_a_corpus(original, tmp_path, capsys):
    assert main(["corpus", "widen", str(original.root), str(tmp_path / "w"), "vorbis", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "12 of 12 copies" in shown
    assert f"path: {tmp_path / 'w' / 'corpus.csv'}" in shown
    assert len(CORPORA["csv"](tmp_path / "w" / "corpus.csv").partition("train")) == 24


def test_a_space_searches_over_copies_and_asks_for_what_there_is(widened, tmp_path, capsys):
    text = SPACE.replace("CORPUS", str(widened.root)).replace("STORAGE", str(tmp_path / "s"))
    text = text.replace("asvspoof2019_la", "csv").replace(
        "  batch_size", "  widen: {choice: [[], [NAME]]}\n  batch_size"
    )
    (tmp_path / "good.yaml").write_text(text.replace("NAME", "mulaw"))
    assert main(["check", str(tmp_path / "good.yaml")]) == 0
    assert 'widen: choice of [], ["mulaw"]' in capsys.readouterr().out
    (tmp_path / "bad.yaml").write_text(text.replace("NAME", "g722"))
    assert main(["check", str(tmp_path / "bad.yaml")]) == 2
    assert "train has no copies made by 'g722'; it has griffin_lim, mulaw" in capsys.readouterr().err


def test_recordings_whose_names_differ_in_format_or_case_get_files_of_their_own(tmp_path):
    names = ["0.flac", "0.wav", "A.flac", "a.flac"]
    rows = ["path,label,partition"]
    for number, name in enumerate(names):
        soundfile.write(tmp_path / name, speech(4000 + 800 * number), 16000)
        rows += [f"{name},{'spoof' if number % 2 else 'bonafide'},{partition}" for partition in ("train", "dev")]
    (tmp_path / "few.csv").write_text("\n".join(rows) + "\n")
    table = widen(CORPORA["csv"](tmp_path / "few.csv"), tmp_path / "out", ["mulaw"])
    copies = [utterance for utterance in CORPORA["csv"](table).partition("train") if utterance.copy]
    assert [soundfile.info(utterance.path).frames for utterance in copies] == [4000, 4800, 5600, 6400]
    assert len({str(utterance.path).casefold() for utterance in copies}) == 4


def test_recordings_of_one_name_get_a_copy_of_their_own_and_eval_may_be_missing(tmp_path):
    rows = ["path,label,partition"]
    for number, (folder, label) in enumerate((("real", "bonafide"), ("fake", "spoof"))):
        (tmp_path / folder).mkdir()
        for stem in ("0", "1"):
            soundfile.write(tmp_path / folder / f"{stem}.flac", speech(4000 + 800 * number), 16000)
        rows += [f"{folder}/0.flac,{label},train", f"{folder}/1.flac,{label},dev"]
    (tmp_path / "few.csv").write_text("\n".join(rows) + "\n")
    table = widen(CORPORA["csv"](tmp_path / "few.csv"), tmp_path / "out", ["mulaw"])
    copies = [utterance for utterance in CORPORA["csv"](table).partition("train") if utterance.copy]
    assert {(utterance.label, soundfile.info(utterance.path).frames) for utterance in copies} == {(1, 4000), (0, 4800)}
    assert len({utterance.path for utterance in copies}) == 2
    shared = table.read_text().replace(copies[0].path.name, "0.flac").replace(copies[1].path.name, "0.flac")
    table.write_text(shared)  # as an earlier version wrote it
    with pytest.raises(InputError, match=r"into one file; run spooftune corpus widen again"):
        CORPORA["csv"](table).partition("train")

import gzip
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from core.errors import InputError
from core.evaluation.score_file import CmScores, read_asv_scores, read_cm_scores, write_cm_scores

FOUR = "LA_E_1 A07 spoof -2.5\nLA_E_2 - bonafide 1e-3\n"
SIX = "LA_0039 LA_E_1 - A07 spoof -2.5\nLA_0040 LA_E_2 - - bonafide 1e-3\n"
TWO = "LA_E_1 -2.5\nLA_E_2 1e-3\n"


def written(folder: Path, text: str, name: str = "scores.txt") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def some_scores(n: int = 50) -> CmScores:
    rng = np.random.default_rng(0)
    labels = (np.arange(n) % 3 == 0).astype(np.int8)
    return CmScores(
        utterance_ids=np.array([f"LA_E_{i:07d}" for i in range(n)]),
        scores=rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, n),
        attack_ids=np.where(labels == 1, "-", "A07"),
        labels=labels,
        speaker_ids=np.array([f"LA_{i % 4:04d}" for i in range(n)]),
    )


@pytest.mark.parametrize("name", ["scores.txt", "scores.txt.gz"])
@pytest.mark.parametrize("text", [FOUR, SIX, TWO, SIX.replace(" ", "\t"), "\n" + FOUR.replace("\n", "\r\n\r\n")])
def test_reading_by_hand(tmp_path: Path, text: str, name: str) -> None:
    scores = read_cm_scores(written(tmp_path, text, name))
    assert scores.utterance_ids.tolist() == ["LA_E_1", "LA_E_2"]
    assert scores.scores.tolist() == [-2.5, 0.001]
    if text == TWO:
        assert scores.labels is None
        assert scores.attack_ids is None
    else:
        assert scores.labels is not None
        assert scores.attack_ids is not None
        assert scores.labels.tolist() == [0, 1]
        assert scores.attack_ids.tolist() == ["A07", "-"]
    assert (scores.speaker_ids is not None) == ("LA_0039" in text)


@pytest.mark.parametrize(
    ("content", "names", "speakers"),
    [
        (b"\xef\xbb\xbfu1 0.5\nu2 -1\n", ["u1", "u2"], None),
        (b"s1 u1 0.5\ns2 u2 -1\n", ["u1", "u2"], ["s1", "s2"]),
        (b"filename\tcm-score\r\nu1\t0.5\r\nu2\t-1\r\n", ["u1", "u2"], None),
        (
            b"\xef\xbb\xbfspk filename cm-score asv-score sasv-score\ns1 u1 .5 - -\ns1 u2 -1 - -\n",
            ["u1", "u2"],
            ["s1"] * 2,
        ),
        (b"a b.wav\t0.500000\tbonafide\nc/d.wav\t-1.000000\tspoof\n", ["a b.wav", "c/d.wav"], None),
        (b"caf\xe9 0.5\nna\xc3\xafve -1\n", ["caf\udce9", "na\xefve"], None),
    ],
)
def test_formats_without_keys(tmp_path: Path, content: bytes, names: list[str], speakers: list[str] | None) -> None:
    path = tmp_path / "scores.txt"
    path.write_bytes(content)
    scores = read_cm_scores(path)
    assert scores.utterance_ids.tolist() == names
    assert scores.scores.tolist() == [0.5, -1.0]
    assert scores.labels is None
    assert (None if scores.speaker_ids is None else scores.speaker_ids.tolist()) == speakers


def test_spellings_of_bona_fide(tmp_path: Path) -> None:
    text = "u1 - bona-fide 1\nu2 - bona_fide 1\nu3 - bonafide 1\nu4 A07 spoof 1\n"
    labels = read_cm_scores(written(tmp_path, text)).labels
    assert labels is not None
    assert labels.tolist() == [1, 1, 1, 0]


def test_a_name_that_is_not_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "scores.txt"
    write_cm_scores(path, CmScores(np.array(["caf\udce9", "b"]), np.array([1.0, 2.0])), columns=2)
    assert path.read_bytes() == b"caf\xe9 1.0\nb 2.0\n"
    assert read_cm_scores(path).utterance_ids.tolist() == ["caf\udce9", "b"]


@pytest.mark.parametrize("name", ["scores.txt", "scores.txt.gz"])
@pytest.mark.parametrize("columns", [2, 4, 6])
def test_round_trip_is_exact(tmp_path: Path, columns: Literal[2, 4, 6], name: str) -> None:
    path, scores = tmp_path / "new" / name, some_scores()
    write_cm_scores(path, scores, columns=columns)
    again = read_cm_scores(path)
    np.testing.assert_array_equal(again.scores, scores.scores)
    np.testing.assert_array_equal(again.utterance_ids, scores.utterance_ids)
    if columns > 2:
        np.testing.assert_array_equal(again.labels, scores.labels)
        np.testing.assert_array_equal(again.attack_ids, scores.attack_ids)
    if columns == 6:
        np.testing.assert_array_equal(again.speaker_ids, scores.speaker_ids)


@pytest.mark.parametrize(("columns", "text"), [(2, TWO), (4, FOUR), (6, SIX)])
def test_writing_by_hand(tmp_path: Path, columns: Literal[2, 4, 6], text: str) -> None:
    path = tmp_path / "again.txt"
    write_cm_scores(path, read_cm_scores(written(tmp_path, SIX)), columns=columns)
    assert path.read_text() == text.replace("1e-3", "0.001")


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.gz", tmp_path / "b.gz"
    write_cm_scores(first, some_scores())
    write_cm_scores(second, some_scores())
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (FOUR + "LA_E_3 A07 spoof\n", [":3: 3 columns, not 4"]),
        (FOUR + "LA_E_3 A07 spoof\n\nLA_E_4 A07 A07 spoof 1\n", [":3: 3 columns, not 4", ":5: 5 columns, not 4"]),
        (FOUR + "LA_E_3 A07 fake 1\nLA_E_4 A07 target 1\n", [":3: no key 'fake'", ":4: no key 'target'"]),
        (FOUR + "LA_E_3 A07 spoof x\n\nLA_E_4 - spoof nan\n", [":3: the score 'x'", ":5: the score 'nan'"]),
        (FOUR + "LA_E_3 A07 spoof -inf\n", [":3: the score '-inf'"]),
        (TWO + "LA_E_3 A07\n", [":3: the score 'A07'"]),
        (FOUR + "LA_E_1 A07 spoof 1\n", [":3: utterance 'LA_E_1' is listed again; it is in line 1"]),
        ("A07 spoof 1\n", [":1: these are ASV scores (attack key score); valid are 2 (utterance score); 3"]),
        ("A07 spoof a b 1\n", [":1: 5 columns; valid are 2 (utterance score); 3 (speaker utterance score); 4"]),
        ("spk u1 1\nspk u2 x\n", [":2: the score 'x'"]),
        ("filename\tcm-score\nu1\t1\nu2\n", [":3: 1 columns, not 2 (filename cm-score)"]),
        ("filename\tcm-score\n", [": the file has no scores"]),
        ("spk filename cm-score asv-score sasv-score\ns u1 - - 0.5\n", [":2: the score '-'"]),
        ("a b.wav\t0.5\tspoof\nc.wav\t0.5\n", [":2: 2 columns, not 3 (recording score decision, separated"]),
        ("\n \n", [": the file has no scores"]),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, text: str, messages: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_cm_scores(path)
    assert len(caught.value.problems) == len(messages)
    for problem, message in zip(caught.value.problems, messages, strict=True):
        assert problem.startswith(f"{path}{message}")


def test_a_file_that_is_wrong_throughout_gives_few_messages(tmp_path: Path) -> None:
    path = written(tmp_path, "".join(f"u{i} A07 fake 1\n" for i in range(500)))
    with pytest.raises(InputError) as caught:
        read_cm_scores(path)
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == f"{path}: 480 more lines are wrong"


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(FOUR.encode() * 50)
    contents = {"torn.gz": whole[:-20], "plain.gz": b"LA_E_1 1.0\n", "bytes.txt": b"LA_E_1 1.0\nLA_\xff\0 2.0\n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "flipped.gz").write_bytes(whole[:20] + bytes([whole[20] ^ 0xFF]) + whole[21:])
    for name in (*contents, "flipped.gz", "missing.txt", "."):
        with pytest.raises(InputError) as caught:
            read_cm_scores(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
    with pytest.raises(InputError, match=r"bytes\.txt:2: a zero byte"):
        read_cm_scores(tmp_path / "bytes.txt")
    with pytest.raises(InputError, match="No such file"):
        read_cm_scores(tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        ({"scores": np.full(50, np.nan)}, 4, "50 of 50 scores are not finite"),
        ({"utterance_ids": np.array(["one"])}, 2, "utterance_ids: 50 are needed"),
        ({"utterance_ids": np.array([""] * 50)}, 2, "utterance_ids: a name is empty"),
        ({"labels": None}, 4, "4 columns need a label"),
        ({"labels": np.full(50, 2, np.int8)}, 4, "4 columns need a label"),
        ({"labels": np.ones(49, np.int8)}, 4, "labels: 50 are needed, one for each score; there are 49"),
        ({"attack_ids": None}, 4, "attack_ids: 50 are needed, one for each score; there are none"),
        ({"speaker_ids": None}, 6, "speaker_ids: 50 are needed"),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(
    tmp_path: Path, change: dict[str, object], columns: Literal[2, 4, 6], message: str
) -> None:
    path = written(tmp_path, FOUR)
    with pytest.raises(ValueError, match=message):
        write_cm_scores(path, CmScores(**{**vars(some_scores()), **change}), columns=columns)
    assert path.read_text() == FOUR
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    in_the_way = written(tmp_path, FOUR)
    with pytest.raises(InputError, match=r"scores\.txt/new\.txt: cannot be written"):
        write_cm_scores(in_the_way / "new.txt", some_scores())
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(InputError, match="folder: cannot be written"):
        write_cm_scores(target, some_scores())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "scores.txt"]


@pytest.mark.parametrize("name", ["asv.txt", "asv.txt.gz"])
def test_asv_scores_by_hand(tmp_path: Path, name: str) -> None:
    text = "bonafide target 18.2\nA07 spoof 3\nbonafide nontarget -1\nbonafide target 4\n"
    asv = read_asv_scores(written(tmp_path, text, name))
    assert (asv.target.tolist(), asv.nontarget.tolist(), asv.spoof.tolist()) == ([18.2, 4.0], [-1.0], [3.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bonafide target 1\nA07 spoof 2\n", "no line has the key 'nontarget'"),
        ("bonafide target 1\nA07 bonafide 2\n", ":2: no key 'bonafide'; there are target, nontarget, spoof"),
        ("bonafide target\n", r":1: 2 columns; valid are 3 \(attack key score\)"),
        ("bonafide target one\n", ":1: the score 'one'"),
    ],
)
def test_wrong_asv_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_asv_scores(written(tmp_path, text))


def test_scores_are_told_apart_by_their_labels():
    scores = CmScores(np.array(["a", "b", "c"]), np.array([0.5, -1.0, 2.0]), labels=np.array([1, 0, 1], dtype=np.int8))
    assert scores.bona_fide.tolist() == [0.5, 2.0]
    assert scores.spoof.tolist() == [-1.0]
    with pytest.raises(ValueError, match="no labels"):
        _ = CmScores(scores.utterance_ids, scores.scores).spoof

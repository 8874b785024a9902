import json

import pytest

from core.errors import InputError
from core.evaluation.localisation import Part, evaluate_segments, read_parts, unit_labels, unit_scores
from core.evaluation.metrics import eer
from search.cli.main import main


def described(folder, name, scores, *, threshold=0.0, step=1.0, width=2.0):
    """Scores over time of a recording, as `spooftune score --segments` writes them."""
    segments = [
        {"begin_s": step * number, "end_s": step * number + width, "score": score}
        for number, score in enumerate(scores)
    ]
    content = {
        "recording": f"clips/{name}.wav",
        "duration_s": segments[-1]["end_s"],
        "threshold": threshold,
        "segments": segments,
    }
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.wav.json").write_text(json.dumps(content))


def test_a_unit_is_spoofed_if_any_of_it_is():
    parts = [Part(0, 0.3, True), Part(0.3, 0.59, False), Part(0.59, 1.2, True)]
    assert unit_labels(parts, 6, 0.2).tolist() == [True, False, False, True, True, True]
    assert unit_labels([Part(0.2, 0.6, False)], 4, 0.2).tolist() == [True, False, False, True]


def test_a_unit_has_the_mean_score_at_its_middle():
    segments = [{"begin_s": 0.0, "end_s": 2.0, "score": 1.0}, {"begin_s": 1.0, "end_s": 3.0, "score": 3.0}]
    assert unit_scores(segments, 6, 0.5).tolist() == [1, 1, 2, 2, 3, 3]
    assert unit_scores(segments, 8, 0.5)[-1] == 3  # beyond the last segment


def test_rates_by_hand(tmp_path, capsys):
    # Over time: a has 2 2 -1 -4, b has 1 1 1.
    described(tmp_path / "over", "a", [2.0, 2.0, -4.0])
    described(tmp_path / "over", "b", [1.0, 1.0])
    labels = tmp_path / "labels.txt"
    labels.write_text("a 4 spoof 0-2-bonafide 2-4.0-spoof\nb 3.0 spoof 0-2.5-bonafide 2.5-3-spoof\n")
    result = evaluate_segments(tmp_path / "over", labels, unit_s=1.0)
    # Bona fide units: 2 2 1 1; spoofed units: -1 -4 1.
    assert (result["n_bona_fide"], result["n_spoof"], result["n_recordings"]) == (4, 3, 2)
    assert (result["miss"], result["false_alarm"]) == (0, pytest.approx(1 / 3))
    # A threshold of 1 misses nothing and accepts a third; above 1 it misses half and accepts nothing.
    assert result["eer"] == eer([2, 2, 1, 1], [-1, -4, 1])[0]
    assert 1 / 6 <= result["eer"] <= 1 / 4
    assert main(["evaluate-segments", str(tmp_path / "over"), str(labels), "--unit", "1"]) == 0
    assert "4 bona fide, 3 spoofed, in 2 recordings" in capsys.readouterr().out
    assert main(["evaluate-segments", str(tmp_path / "over"), str(labels), "--unit", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result


def test_perfect_and_constant_scores(tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("a 8 spoof 0-4-bonafide 4-8-spoof\n")
    described(tmp_path / "perfect", "a", [3.0] * 4 + [-3.0] * 4, width=1.0)
    described(tmp_path / "constant", "a", [3.0] * 8, width=1.0)
    assert evaluate_segments(tmp_path / "perfect", labels, unit_s=0.16)["eer"] == 0
    assert evaluate_segments(tmp_path / "constant", labels, unit_s=0.16)["eer"] == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a 8 spoof 0-4-fake", "labels.txt:1: '0-4-fake' is not a part"),
        ("a 8 spoof 4-2-spoof", "'4-2-spoof' is not a part"),
        ("a 8 spoof", "no parts"),
        ("a 8 spoof 0-4-spoof\na 8 spoof 0-4-spoof", "labels.txt:2: a is listed twice"),
        ("", "has no labels"),
        ("b 8 spoof 0-4-spoof", "(?s)no labels of clips/a.wav.*such as b; --partial"),
        ("a 8 spoof 0-8-spoof", "all units are spoofed"),
    ],
)
def test_labels_that_cannot_be_used_are_named(tmp_path, text, words):
    described(tmp_path / "over", "a", [1.0] * 7)
    (tmp_path / "labels.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        evaluate_segments(tmp_path / "over", tmp_path / "labels.txt", unit_s=1.0)


def test_recordings_without_scores_are_accepted_on_request(tmp_path):
    described(tmp_path / "over", "a", [1.0] * 7)
    labels = tmp_path / "labels.txt"
    labels.write_text("a 8 spoof 0-4-bonafide 4-8-spoof\nb 8 spoof 0-8-spoof\n")
    assert set(read_parts(labels)) == {"a", "b"}
    assert evaluate_segments(tmp_path / "over", labels, unit_s=1.0, partial=True)["n_recordings"] == 1
    with pytest.raises(InputError, match="--unit is 0"):
        evaluate_segments(tmp_path / "over", labels, unit_s=0.0)
    with pytest.raises(InputError, match="has no scores over time"):
        evaluate_segments(tmp_path / "absent", labels, unit_s=1.0)

import sys
from pathlib import Path

import numpy as np
import pytest

from core.evaluation.score_file import CmScores, read_cm_scores, write_cm_scores
from core.evaluation.words import decoded, encoded

NAMES = [
    "WhatsApp Ptt 2.flac",
    " two  blanks ",
    "tab\tand\nline\r\n",
    'a "quoted" name',
    "#7 it's 100% real, ünïcödé 你好",
    "no-break\u00a0and ideographic\u3000blank",
    "50%20off",
    "%2520",
    "%",
    "50%2",
]


def test_by_hand():
    assert encoded(["a b", "a%20b", "50%", "\u3000", "LA_E_1"]) == ["a%20b", "a%2520b", "50%", "%E3%80%80", "LA_E_1"]


def test_every_name_is_one_word_and_comes_back():
    words = encoded(NAMES)
    assert all(word.split() == [word] for word in words)
    assert len(set(words)) == len(NAMES)
    assert decoded(words) == NAMES


def test_every_white_space_is_encoded():
    spaces = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    assert not any(character.isspace() for character in "".join(encoded(spaces)))


def test_percent_signs_of_other_toolkits_stay():
    words = ["caf%C3%A9", "a%41", "50%", "%%", "%e3"]
    assert decoded(words) == words


@pytest.mark.parametrize("columns", [2, 4, 6])
def test_score_files_hold_any_name(tmp_path: Path, columns):
    n = len(NAMES)
    names = np.array(NAMES)
    scores = CmScores(names, np.arange(n) / 7, names[::-1], np.arange(n, dtype=np.int8) % 2, np.roll(names, 3))
    write_cm_scores(tmp_path / "scores.txt", scores, columns=columns)
    again = read_cm_scores(tmp_path / "scores.txt")
    assert again.utterance_ids.tolist() == NAMES
    if columns > 2:
        assert again.attack_ids.tolist() == NAMES[::-1]
    if columns == 6:
        assert again.speaker_ids.tolist() == np.roll(names, 3).tolist()

"""Keys from protocols of every kind, and their union with scores that have none."""

import gzip

import numpy as np
import pytest

from core.errors import InputError
from core.evaluation.key_file import read_keys, with_keys
from core.evaluation.score_file import numbered_cm_scores

PROTOCOLS = {
    "2015": "T1 a human human\nT1 b S1 spoof\n",
    "2017": "a.wav genuine M1 S01 - - -\nb.wav spoof M1 S02 E01 P02 R04\n",
    "2019": "s1 a - - bonafide\ns1 b - A07 spoof\n",
    "2021 LA": "s1 a none - bonafide bonafide notrim eval\ns1 b alaw ita_tx A07 spoof notrim eval\n",
    "2021 DF": "s1 a nocodec asvspoof - bonafide notrim eval bonafide - - - -\n"
    "s1 b mp3m4a vcc2020 A07 spoof notrim eval neural - - - -\n",
    "5": "s1 a F - - - - bonafide bonafide -\ns1 b F C01 2 x AC1 A07 spoof -\n",
    "5 keys": "filename\tcm-label\na\tbonafide\nb\tspoof\n",
    "5 table": "tar_spk_anon trial_anon codec attack_anon cm-label\ns1 a - bonafide bonafide\ns1 b C01 A07 spoof\n",
    "In-the-Wild": 'file,speaker,label\na.wav,"Ada, L",bona-fide\nb.wav,Bob,spoof\n',
    "CSV": "path,label,partition,attack\nx/a.flac,bonafide,eval,\nx/b.flac,spoof,eval,A07\n",
    "Codecfake": "a.wav real 0\nb.wav fake 3\n",
    "ADD": "a.wav genuine\nb.wav fake\n",
    "scores 4": "a - bonafide 1.5\nb A07 spoof 2.5\n",
    "scores 6": "s1 a - - bonafide 1.5\ns1 b - A07 spoof 2.5\n",
    "BOM": "\ufeffs1 a - - bonafide\ns1 b - A07 spoof\n",
}


def files(tmp_path, scores, keys):
    (tmp_path / "scores.txt").write_text(scores)
    (tmp_path / "keys.txt").write_text(keys)
    return tmp_path / "scores.txt", tmp_path / "keys.txt"


def joined(tmp_path, scores, keys, **options):
    path, keys_path = files(tmp_path, scores, keys)
    return with_keys(*numbered_cm_scores(path), path, read_keys(keys_path), keys_path, **options)


def problems(tmp_path, scores, keys, **options):
    with pytest.raises(InputError) as caught:
        joined(tmp_path, scores, keys, **options)
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_gives_keys(tmp_path, protocol):
    scores, remarks = joined(tmp_path, "b -1\na 1\n", PROTOCOLS[protocol])
    assert (scores.labels.tolist(), scores.scores.tolist(), remarks) == ([0, 1], [-1.0, 1.0], [])
    if "A07" in PROTOCOLS[protocol]:
        assert scores.attack_ids.tolist() == ["A07", "-"]
    if "s1" in PROTOCOLS[protocol]:
        assert scores.speaker_ids.tolist() == ["s1", "s1"]


def test_codec_and_transmission_become_conditions(tmp_path):
    scores, _ = joined(tmp_path, "a 1\nb -1\n", PROTOCOLS["2021 LA"])
    assert {name: values.tolist() for name, values in scores.conditions.items()} == {
        "codec": ["none", "alaw"],
        "transmission": ["-", "ita_tx"],
    }


def test_the_deepfake_track_of_2021_names_a_source_in_place_of_a_transmission(tmp_path):
    of_la = "s1 LA_E_1 alaw ita_tx A07 spoof notrim eval\n"
    of_df = "s2 DF_E_2 nocodec vcc2020 - bonafide notrim eval traditional_vocoder - - - -\n"
    scores, _ = joined(tmp_path, "LA_E_1 -1\nDF_E_2 1\n", of_la + of_df)
    assert {name: values.tolist() for name, values in scores.conditions.items()} == {
        "codec": ["alaw", "nocodec"],
        "transmission": ["ita_tx", "-"],
        "source": ["-", "vcc2020"],
    }


@pytest.mark.parametrize("protocol", ["5", "5 table"])
def test_recordings_without_codec_are_a_condition_of_asvspoof_5(tmp_path, protocol):
    scores, _ = joined(tmp_path, "a 1\nb -1\n", PROTOCOLS[protocol])
    assert scores.conditions["codec"].tolist() == ["none", "C01"]


def test_a_compressed_protocol(tmp_path):
    (tmp_path / "keys.txt.gz").write_bytes(gzip.compress(PROTOCOLS["2019"].encode()))
    assert [key.label for key in read_keys(tmp_path / "keys.txt.gz").values()] == [1, 0]


@pytest.mark.parametrize("name", ["flac/a.flac", "/data/x/a.wav", "a.OGG", "a"])
def test_recordings_are_found_by_the_names_of_their_files(tmp_path, name):
    scores, _ = joined(tmp_path, f"{name}\t1.000000\tspoof\nb\t0.5\tspoof\n", PROTOCOLS["2019"])
    assert scores.utterance_ids.tolist() == ["a", "b"]
    assert scores.labels.tolist() == [1, 0]


def test_composed_and_decomposed_names_meet(tmp_path):
    scores, _ = joined(tmp_path, "Bo\u0308nn 1\nb 2\n", "s B\xf6nn - - bonafide\ns b - A07 spoof\n")
    assert scores.labels.tolist() == [1, 0]


def test_the_phase_of_2021_restricts_the_scores(tmp_path):
    keys = PROTOCOLS["2021 LA"] + "s2 c none - bonafide bonafide notrim progress\n"
    scores, remarks = joined(tmp_path, "a 1\nb -1\nc 3\n", keys)
    assert (scores.utterance_ids.tolist(), remarks) == (["a", "b"], ["1 scores of other phases than eval are left out"])
    scores, _ = joined(tmp_path, "a 1\nb -1\nc 3\n", keys, phase="all")
    assert scores.utterance_ids.tolist() == ["a", "b", "c"]


def test_missing_keys_and_missing_scores_are_named_with_their_lines(tmp_path):
    keys = PROTOCOLS["2019"]
    assert problems(tmp_path, "a 1\n\nx 2\ny 3\nb 4\n", keys) == [
        "scores.txt:3: no key of x in keys.txt",
        "scores.txt:4: no key of y in keys.txt",
    ]
    assert problems(tmp_path, "a 1\n", keys) == [
        "keys.txt:2: no score of b in scores.txt; --partial evaluates the others"
    ]
    scores, remarks = joined(tmp_path, "a 1\n", keys, partial=True)
    assert scores.utterance_ids.tolist() == ["a"]
    assert remarks[0].endswith("keys.txt:2: no score of b")


def test_conflicts_are_named_with_their_lines(tmp_path):
    twice = "s1 a - - bonafide\ns1 b - A07 spoof\ns1 a - A07 spoof\ns1 b - A07 spoof\n"
    assert problems(tmp_path, "a 1\nb 2\n", twice) == [
        "keys.txt:3: a has the key spoof, but another one at keys.txt:1",
        "keys.txt:4: b is listed twice; first at keys.txt:2",
    ]
    assert problems(tmp_path, "a - spoof 1\nb - spoof 2\n", PROTOCOLS["2019"]) == [
        "scores.txt:1: the key of a differs from the key at keys.txt:1"
    ]
    assert problems(tmp_path, "a.wav 1\na.flac 2\nb 1\n", PROTOCOLS["2019"]) == [
        "scores.txt:2: a.flac is a, which line 1 has already"
    ]
    keys = "path,label\nx/a.wav,spoof\ny/a.wav,bonafide\n"
    assert problems(tmp_path, "a 1\n", keys) == [
        "scores.txt:1: no key of a in keys.txt; x/a.wav and y/a.wav have this file name"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s1 a - A07 true\n", "keys.txt:1: 5 columns in no known order, or no key (bonafide, "),
        ("s1 a - - bonafide\ns1 b - A07 true\n", "keys.txt:2: key 'true'; it is one of bonafide, bona-fide"),
        ("s1 a - - bonafide\ns1 b A07 spoof\n", "keys.txt:2: 4 columns; there are 5: speaker utterance - attack key"),
        ("file,speaker,label\na.wav,spoof\n", "keys.txt:2: 2 columns; there are 3: file speaker label"),
        (" \n", "keys.txt: the file has no keys"),
    ],
)
def test_malformed_keys_are_named(tmp_path, text, message):
    assert problems(tmp_path, "a 1\nb 2\n", text)[0].startswith(message)


def test_scores_keep_the_speakers_of_their_own_file(tmp_path):
    scores, _ = joined(tmp_path, "p1 a 1\np2 b 2\n", PROTOCOLS["ADD"])
    np.testing.assert_array_equal(scores.speaker_ids, ["p1", "p2"])

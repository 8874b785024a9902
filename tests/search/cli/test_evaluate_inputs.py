"""Score files that `spooftune evaluate` takes: with keys from elsewhere, with a byte order mark, as `score` writes."""

import json

import pytest

from search.cli.main import main

PROTOCOL = "".join(f"s{k % 3} u{k} - {'- bonafide' if k % 2 else 'A07 spoof'}\n" for k in range(12))
VALUES = {f"u{k}": (k % 2) * 2 + 0.1 * k for k in range(12)}
INPUTS = {
    "two columns": "".join(f"{name} {value}\n" for name, value in VALUES.items()),
    "speaker": "".join(f"s {name} {value}\n" for name, value in VALUES.items()),
    "ASVspoof 5": "filename\tcm-score\n" + "".join(f"{name}\t{value}\n" for name, value in VALUES.items()),
    "score": "".join(f"flac/{name}.flac\t{value:.6f}\tspoof\n" for name, value in VALUES.items()),
    "BOM": "\ufeff" + "".join(f"{name} {value}\n" for name, value in VALUES.items()),
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "protocol.txt").write_text(PROTOCOL)
    for name, text in INPUTS.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", INPUTS)
def test_scores_without_keys_take_those_of_a_protocol(folder, name, capsys):
    path = str(folder / f"{name}.txt")
    assert main(["evaluate", path, "--keys", str(folder / "protocol.txt"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["n_bona_fide"], result["n_spoof"], result["auc"]) == (6, 6, 1.0)
    assert set(result["by_attack"]) == {"A07"}
    assert main(["evaluate", path]) == 2
    assert "--keys FILE names a protocol, such as trial_metadata.txt" in capsys.readouterr().err


def test_two_systems_in_different_formats_are_compared(folder, capsys):
    arguments = [
        str(folder / "score.txt"),
        "--compare",
        str(folder / "BOM.txt"),
        "--keys",
        str(folder / "protocol.txt"),
    ]
    assert main(["evaluate", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["difference"]["eer"] == 0


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path, capsys):
    text = "u1 - bona-fide 1.5\nu2 - bona_fide 2\nu3 A07 spoof 0\nu4 A08 spoof 1\n"
    (tmp_path / "good.txt").write_text(text)
    (tmp_path / "bom.txt").write_text(text, encoding="utf-8-sig")
    assert main(["evaluate", str(tmp_path / "good.txt"), "--compare", str(tmp_path / "bom.txt")]) == 0
    assert "difference +0.000" in capsys.readouterr().out


def test_scores_of_other_utterances_are_refused_with_their_lines(folder, capsys):
    (folder / "more.txt").write_text(INPUTS["two columns"] + "u99 1.0\n")
    assert main(["evaluate", str(folder / "more.txt"), "--keys", str(folder / "protocol.txt")]) == 2
    assert f"more.txt:13: no key of u99 in {folder / 'protocol.txt'}" in capsys.readouterr().err
    (folder / "less.txt").write_text("u0 1.0\nu1 2.0\n")
    arguments = ["evaluate", str(folder / "less.txt"), "--keys", str(folder / "protocol.txt")]
    assert main(arguments) == 2
    assert "protocol.txt:3: no score of u2 and of 9 more utterances" in capsys.readouterr().err
    assert main([*arguments, "--partial"]) == 0
    assert "no score of u2 and of 9 more utterances" in capsys.readouterr().err

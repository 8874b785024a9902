"""Seals: every single bit that flips in a text is noticed, and text without a seal is told from damaged text."""

import json

import pytest
import yaml

from core.integrity.seal import (
    DOCUMENT,
    LINE,
    YAML,
    is_sealed,
    line_problems,
    sealed_document,
    sealed_line,
    sealed_yaml,
    without_seal,
)

PLAIN = {"state": "running", "rate": 0.25, "name": "naïve", "n": None, "crc32": "of an earlier content"}
TEXTS = {
    "document": (sealed_document(PLAIN), DOCUMENT),
    "line": (sealed_line(PLAIN), LINE),
    "yaml": (sealed_yaml("trials: 20\nnote: naïve\n"), YAML),
}


@pytest.mark.parametrize(("text", "form"), TEXTS.values(), ids=TEXTS)
def test_every_flipped_bit_is_noticed(text, form):
    content = text.encode()
    assert is_sealed(content, form) is True
    for position in range(len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            assert is_sealed(bytes(damaged), form) is False, (position, bit)


def test_the_content_stays_readable():
    wanted = without_seal(PLAIN)
    assert without_seal(json.loads(TEXTS["document"][0])) == without_seal(json.loads(TEXTS["line"][0])) == wanted
    assert yaml.safe_load(TEXTS["yaml"][0]) == {"trials": 20, "note": "naïve"}


def test_text_without_a_seal_is_not_called_damaged():
    assert is_sealed((json.dumps(wanted := without_seal(PLAIN), indent=2) + "\n").encode(), DOCUMENT) is None
    assert is_sealed(json.dumps(wanted).encode(), LINE) is None
    assert is_sealed(b"trials: 20\n", YAML) is None
    assert is_sealed(b"", YAML) is None
    assert is_sealed(b'{"event": "end", "error": "ValueErr"}', LINE) is None


def test_damaged_lines_are_named_by_their_numbers(tmp_path):
    file = tmp_path / "trials.jsonl"
    whole, other = sealed_line({"trial": 1}), sealed_line({"trial": 2}).replace("2", "3", 1)
    file.write_text(f'{whole}\n{other}\n{{"trial": 4}}\n[5]\n{whole[:-4]}\n{whole}')
    reasons = [
        "its checksum differs",
        "not an object of JSON",
        "not an object of JSON",
        "the end of the line is missing",
    ]
    numbers = [2, 4, 5, 6]
    expected = [f"{file}:{number}: damaged: {reason}" for number, reason in zip(numbers, reasons, strict=True)]
    assert line_problems(file) == expected

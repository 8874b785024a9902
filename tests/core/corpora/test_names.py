"""Names of recordings that are not plain ASCII: other encodings, and the two forms of letters with accents."""

import os
import unicodedata

import pytest

from core.corpora.corpus import Corpus
from core.corpora.layouts import CORPORA
from core.errors import InputError


def ids(corpus: Corpus) -> list[str]:
    return [utterance.utterance_id for utterance in corpus.partition("eval")]


@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["Bönn.wav", "Ünsal/Ü.wav", "안녕.wav"])
def test_composed_and_decomposed_names_meet(tmp_path, name, in_file):
    on_disk = "NFD" if in_file == "NFC" else "NFC"
    file = tmp_path / unicodedata.normalize(on_disk, name)
    file.parent.mkdir(exist_ok=True)
    file.touch()
    listed = unicodedata.normalize(in_file, name)
    (tmp_path / "c.csv").write_text(f"path,label,partition\n{listed},spoof,eval\n", encoding="utf-8")
    (utterance,) = CORPORA["csv"](tmp_path / "c.csv").partition("eval")
    assert (utterance.utterance_id, utterance.path) == (listed, file)


def test_a_name_that_differs_otherwise_is_still_missing(tmp_path):
    (tmp_path / "Bönn.wav").touch()
    (tmp_path / "c.csv").write_text("path,label,partition\nBonn.wav,spoof,eval\nBönñ.wav,spoof,eval\n")
    with pytest.raises(InputError) as caught:
        CORPORA["csv"](tmp_path / "c.csv").partition("eval")
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("name", [b"caf\xe9.wav", b"\x83e\x83X\x83g.wav", b"m\xfcnchen/a.wav"])
def test_a_protocol_in_another_encoding_names_recordings_with_the_same_bytes(tmp_path, name):
    file = tmp_path / os.fsdecode(name)
    file.parent.mkdir(exist_ok=True)
    file.touch()
    (tmp_path / "meta.csv").write_bytes(b"file,speaker,label\n" + name + b",M\xfcller,spoof\n")
    (utterance,) = CORPORA["in_the_wild"](tmp_path).partition("eval")
    assert utterance.path == file
    assert utterance.speaker_id == "M\udcfcller"


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "en_eval.txt").write_text("p1 a - - bonafide\n", encoding="utf-8-sig")
    (tmp_path / "en_eval").mkdir()
    (tmp_path / "en_eval" / "a.wav").touch()
    options = {"protocol": "en_{partition}.txt", "recordings": "en_{partition}"}
    (utterance,) = CORPORA["protocols"](tmp_path, **options).partition("eval")
    assert utterance.speaker_id == "p1"

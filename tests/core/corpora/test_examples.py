import re
from pathlib import Path

import pytest

from core import table
from core.corpora.corpus import Corpus
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.table import Block
from tests.core.corpora.examples import EXAMPLES, Example
from tests.documents import ROOT


def written(folder: Path, example: Example) -> Path:
    for name, text in example.protocols.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in example.recordings.split():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def opened(folder: Path, layout: str) -> Corpus:
    corpus: Corpus = table.build("corpus.layout", CORPORA, Block(layout, EXAMPLES[layout].options), folder)
    return corpus


@pytest.mark.parametrize("layout", EXAMPLES)
def test_every_layout_reads_its_public_format(tmp_path, layout):
    corpus = opened(written(tmp_path, EXAMPLES[layout]), layout)
    assert corpus.partitions() == tuple(EXAMPLES[layout].expected)
    for partition, expected in EXAMPLES[layout].expected.items():
        utterances = corpus.partition(partition)
        assert [(u.utterance_id, u.label, u.speaker_id, u.attack_id) for u in utterances] == expected
        assert all(utterance.path.is_file() for utterance in utterances)


@pytest.mark.parametrize("layout", [layout for layout, example in EXAMPLES.items() if example.malformed])
def test_a_malformed_line_is_named_with_what_is_valid(tmp_path, layout):
    example = EXAMPLES[layout]
    corpus = opened(written(tmp_path, example), layout)
    protocol, text = next(iter(example.protocols.items()))
    (tmp_path / protocol).write_text(f"{text}{example.malformed}\n")
    with pytest.raises(InputError) as caught:
        corpus.partition(next(iter(example.expected)))
    assert caught.value.problems == (f"{tmp_path / protocol}:{len(text.splitlines()) + 1}: {example.message}",)


@pytest.mark.parametrize("layout", [layout for layout, example in EXAMPLES.items() if example.protocols])
def test_a_protocol_that_is_missing_is_named(tmp_path, layout):
    written(tmp_path, EXAMPLES[layout])
    for name in EXAMPLES[layout].protocols:
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match=r"no such file|none of|no meta\.csv|0 files"):
        opened(tmp_path, layout).partition(next(iter(EXAMPLES[layout].expected)))


def test_every_layout_has_an_example_and_a_row_in_the_documentation():
    assert set(EXAMPLES) == set(CORPORA) - {"csv"}
    page = (ROOT / "docs" / "corpora.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) >= set(CORPORA)


def test_conditions_and_sources_of_the_coded_corpora(tmp_path):
    corpus = opened(written(tmp_path, EXAMPLES["asvspoof5"]), "asvspoof5")
    (coded,) = corpus.partition("eval")
    assert coded.conditions == (("codec", "C03"),)
    assert coded.source == "E_0000000009"
    assert corpus.partition("dev")[0].conditions == (("codec", "none"),)


def test_asvspoof2021_takes_a_track_or_a_named_file_of_keys(tmp_path):
    written(tmp_path, EXAMPLES["asvspoof2021"])
    build = CORPORA["asvspoof2021"]
    with pytest.raises(InputError, match=r"2 files .*\(keys/DF/CM, keys/LA/CM\).* option track to LA, DF or all"):
        build(tmp_path).partition("eval")
    for options in ({"track": "LA"}, {"keys": "keys/LA/CM/trial_metadata.txt"}):
        assert [utterance.utterance_id for utterance in build(tmp_path, **options).partition("eval")] == [
            "LA_E_1",
            "LA_E_2",
        ]
    with pytest.raises(InputError, match=r"absent\.txt: no such file"):
        build(tmp_path, keys="absent.txt").partition("eval")


def test_protocols_whose_template_names_one_file_are_refused(tmp_path):
    written(tmp_path, EXAMPLES["protocols"])
    with pytest.raises(InputError, match=r"it needs \{partition\}"):
        CORPORA["protocols"](tmp_path, protocol="en_train.txt")


def test_folders_without_bona_fide_speech_are_named(tmp_path):
    (tmp_path / "real").mkdir()
    with pytest.raises(InputError, match="real: no recordings"):
        CORPORA["folders"](tmp_path, bona_fide=["real"]).partition("eval")

import pytest

from core.corpora.corpus import SealedPartition
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.evaluation.folds import VALIDATIONS, origins
from tests.speech import make_corpus


@pytest.fixture
def two(tmp_path):
    """Two corpora of the same names, joined."""
    for name in ("one", "two"):
        make_corpus(tmp_path / name, n_per_class=4, duration_s=0.1)
    members = [{"name": name, "layout": "asvspoof2019_la", "path": name} for name in ("one", "two")]
    return CORPORA["joined"](tmp_path, corpora=members)


def test_partitions_join_and_equal_names_stay_apart(two, tmp_path):
    utterances = two.partition("train")
    assert two.counts("train") == (8, 8)
    assert len({utterance.utterance_id for utterance in utterances}) == 16
    assert {utterance.corpus for utterance in utterances} == {"one", "two"}
    last = utterances[-1]
    assert (last.utterance_id, last.speaker_id, last.attack_id) == ("two/T_T_0000007", "two/S_train_1", "two/A02")
    assert last.path == tmp_path / "two/ASVspoof2019_LA_train/flac/T_T_0000007.flac"


def test_the_name_of_the_corpus_makes_folds_of_corpora(two):
    assert set(origins(two.partition("train")).corpora.values()) == {"one", "two"}
    assert "corpus_folds" in VALIDATIONS


def test_a_sealed_joined_corpus_opens_no_member(two):
    with pytest.raises(SealedPartition):
        two.sealed("eval").partition("eval")
    with pytest.raises(SealedPartition):
        two.sealed("eval").lines("eval")


def test_classes_may_come_from_different_corpora(tmp_path):
    for name, label in (("real", "bonafide"), ("fake", "spoof")):
        (tmp_path / f"{name}.wav").touch()
        (tmp_path / f"{name}.csv").write_text(f"path,label,partition,corpus\n{name}.wav,{label},train,x\n")
    members = [{"name": name, "layout": "csv", "path": f"{name}.csv"} for name in ("real", "fake")]
    corpus = CORPORA["joined"](tmp_path, corpora=members)
    assert corpus.counts("train") == (1, 1)
    assert [utterance.corpus for utterance in corpus.partition("train")] == ["real/x", "fake/x"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "joined needs a list of corpora"),
        (["csv"], r"corpora\[0\]: 'csv'; it must be a mapping with name, layout and path"),
        ([{"layout": "csv", "path": "a.csv"}], r"corpora\[0\]\.name is None"),
        ([{"name": "a", "layout": "csv"}], r"corpora\[0\]\.path is None; it must be a folder or file"),
        ([{"name": "a", "layout": "cvs", "path": "x"}], "did you mean 'csv'?"),
        ([{"name": "a", "layout": "csv", "path": "x", "phase": 1}], "csv has no 'phase'"),
        ([{"name": "a", "layout": "csv", "path": "x"}], "x: no such file"),
        ([{"name": "a", "layout": "folders", "path": ".", "bona_fide": ["r"]}] * 2, "'a' is the name of an earlier"),
    ],
)
def test_mistakes_in_the_list_are_named(tmp_path, members, message):
    with pytest.raises(InputError, match=message):
        CORPORA["joined"](tmp_path, corpora=members)

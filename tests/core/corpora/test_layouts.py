import shutil

import pytest

from core.corpora.corpus import LA19_COUNTS, MAX_PROBLEMS, SealedPartition
from core.corpora.layouts import CORPORA
from core.errors import InputError
from tests.core.corpora.examples import EXAMPLES
from tests.speech import make_corpus

PROTOCOL = "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt"


@pytest.fixture
def root(tmp_path):
    return make_corpus(tmp_path / "LA", n_per_class=2, duration_s=0.2)


def problems(corpus, partition="train"):
    with pytest.raises(InputError) as caught:
        corpus.partition(partition)
    return caught.value.problems


def touch(path, *names):
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()


def test_asvspoof2019_la_by_hand(root):
    corpus = CORPORA["asvspoof2019_la"](root)
    first, second = corpus.partition("train")[:2]
    assert (first.utterance_id, first.label, first.attack_id, first.speaker_id) == ("T_T_0000000", 1, "-", "S_train_0")
    assert (second.label, second.attack_id, second.partition) == (0, "A01", "train")
    assert second.path == root / "ASVspoof2019_LA_train/flac/T_T_0000001.flac"
    assert corpus.counts("train") == (2, 2)
    assert corpus.partitions() == ("train", "dev", "eval")


def test_only_the_partition_that_is_asked_for_is_opened(root):
    shutil.rmtree(root / "ASVspoof2019_LA_eval")
    (root / "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.eval.trl.txt").unlink()
    corpus = CORPORA["asvspoof2019_la"](root)
    assert len(corpus.partition("train") + corpus.partition("dev")) == 8
    assert "no such file" in problems(corpus, "eval")[0]


def test_every_wrong_line_is_named_with_its_number(root):
    with (root / PROTOCOL).open("a") as file:
        file.write("S x - A01\nS T_T_0000000 - - bonafide\nS y - - real\n\nS absent - A01 spoof\n")
    found = problems(CORPORA["asvspoof2019_la"](root))
    path = root / PROTOCOL
    assert found == (
        f"{path}:5: 4 columns; there are 5: speaker utterance - attack key",
        f"{path}:6: T_T_0000000 is listed twice; first at {path}:1",
        f"{path}:7: key 'real'; it is bonafide or spoof",
        f"{path}:9: no recording {root / 'ASVspoof2019_LA_train/flac/absent'} (.flac, .wav, .ogg)",
    )


def test_many_problems_are_cut_short_and_counted(root):
    (root / PROTOCOL).write_text("".join(f"S absent{k} - A01 spoof\n" for k in range(MAX_PROBLEMS + 7)))
    found = problems(CORPORA["asvspoof2019_la"](root))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].endswith("and 7 more")


@pytest.mark.parametrize(("keep", "words"), [("", "is empty"), ("bonafide", "has only bona fide utterances")])
def test_a_partition_that_cannot_be_trained_on(root, keep, words):
    path = root / PROTOCOL
    lines = [line for line in path.read_text().splitlines(keepends=True) if keep and keep in line]
    path.write_text("".join(lines))
    assert words in problems(CORPORA["asvspoof2019_la"](root))[0]


def test_counts_that_differ_from_the_real_corpus_are_said(tmp_path, monkeypatch):
    touch(tmp_path / "ASVspoof2019_LA_train" / "flac", "LA_T_1.flac", "LA_T_2.flac")
    path = tmp_path / PROTOCOL
    path.parent.mkdir()
    path.write_text("S LA_T_1 - - bonafide\nS LA_T_2 - A01 spoof\n")
    corpus = CORPORA["asvspoof2019_la"](tmp_path)
    corpus.partition("train")
    assert len(corpus.warnings) == 1
    assert "2580 and 22800" in corpus.warnings[0]
    assert sum(map(sum, LA19_COUNTS.values())) == 121_461
    monkeypatch.setitem(LA19_COUNTS, "train", (1, 1))
    corpus = CORPORA["asvspoof2019_la"](tmp_path)
    corpus.partition("train")
    assert not corpus.warnings


def test_other_names_of_folders_and_protocols(root):
    for path in [*root.rglob("ASVspoof2019.LA.*"), *root.glob("ASVspoof2019_LA_*")]:
        name = path.name.replace("ASVspoof2019.LA.cm", "mine").replace("ASVspoof2019_LA", "Mine")
        path.rename(path.with_name(name))
    corpus = CORPORA["asvspoof2019_la"](root, prefix="Mine", protocol_prefix="mine")
    assert [corpus.counts(name) for name in corpus.partitions()] == [(2, 2)] * 3


def test_what_is_no_file_is_no_recording(root):
    recordings = root / "ASVspoof2019_LA_train" / "flac"
    (recordings / "T_T_0000000.flac").unlink()
    (recordings / "T_T_0000000.flac").mkdir()
    (recordings / "T_T_0000001.flac").rename(root / "elsewhere.flac")
    (recordings / "T_T_0000001.flac").symlink_to(root / "elsewhere.flac")  # a link to a file is one
    found = problems(CORPORA["asvspoof2019_la"](root))
    assert found == (f"{root / PROTOCOL}:1: no recording {recordings / 'T_T_0000000'} (.flac, .wav, .ogg)",)


def test_a_protocol_that_is_no_text(root):
    (root / PROTOCOL).write_bytes(b"S T_T_0000000 - - bonafide\n\xff\xfe\0")
    assert ":2: cannot be read: a zero byte" in problems(CORPORA["asvspoof2019_la"](root))[0]
    (root / PROTOCOL).write_text("S T_T_0000000 - - bonafide\n", encoding="utf-16")
    assert ":1: cannot be read: a zero byte" in problems(CORPORA["asvspoof2019_la"](root))[0]


def test_asvspoof2021_takes_one_phase(tmp_path):
    touch(tmp_path / "flac", "LA_E_1.flac", "LA_E_2.flac", "LA_E_3.flac")
    path = tmp_path / "keys" / "CM" / "trial_metadata.txt"
    path.parent.mkdir(parents=True)
    lines = [
        "LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim eval",
        "LA_0009 LA_E_2 alaw ita_tx bonafide bonafide notrim progress",
        "LA_0009 LA_E_3 none - - bonafide notrim eval - - - - -",
    ]
    path.write_text("\n".join(lines))
    found = CORPORA["asvspoof2021"](tmp_path).partition("eval")
    assert [(each.utterance_id, each.label, each.attack_id) for each in found] == [
        ("LA_E_1", 0, "A07"),
        ("LA_E_3", 1, "-"),
    ]
    assert [each.conditions for each in found] == [
        (("codec", "alaw"), ("transmission", "ita_tx")),
        (("codec", "none"),),
    ]
    assert len((corpus := CORPORA["asvspoof2021"](tmp_path, phase="all")).partition("eval")) == 3
    assert not corpus.warnings  # its utterances are named as those of ASVspoof 2019 LA, whose counts are no matter here
    others = path.parent.parent / "ASV" / path.name  # of the same name and in the same package: speaker verification
    others.parent.mkdir()
    others.write_text("LA_0009 LA_E_1 alaw ita_tx bonafide nontarget notrim eval\n")
    assert CORPORA["asvspoof2021"](tmp_path).partition("eval") == found
    path.write_text("\n".join(lines).replace("A07 spoof", "A07 target"))
    assert problems(CORPORA["asvspoof2021"](tmp_path), "eval") == (f"{path}:1: key 'target'; it is bonafide or spoof",)
    path.write_text("LA_0009 LA_E_1 alaw ita_tx A07 spoof notrim evaluation\nshort line\n")
    assert [each.split(": ")[0] for each in problems(CORPORA["asvspoof2021"](tmp_path), "eval")] == [
        f"{path}:1",
        f"{path}:2",
    ]


def test_asvspoof2021_needs_the_keys_of_one_track(tmp_path):
    assert "0 files trial_metadata.txt" in problems(CORPORA["asvspoof2021"](tmp_path), "eval")[0]
    touch(tmp_path / "keys", "LA/CM/trial_metadata.txt", "DF/CM/trial_metadata.txt")
    assert (
        "2 files trial_metadata.txt in it (keys/DF/CM, keys/LA/CM)"
        in problems(CORPORA["asvspoof2021"](tmp_path), "eval")[0]
    )


def test_in_the_wild(tmp_path):
    touch(tmp_path, "0.wav", "1.wav")
    (tmp_path / "meta.csv").write_text("file,speaker,label\n0.wav,Alan Turing,bona-fide\n1.wav,Alan Turing,spoof\n")
    corpus = CORPORA["in_the_wild"](tmp_path)
    assert [(each.label, each.speaker_id, each.path.name) for each in corpus.partition("eval")] == [
        (1, "Alan Turing", "0.wav"),
        (0, "Alan Turing", "1.wav"),
    ]
    assert "no partition 'train'; it has eval" in problems(corpus)[0]
    assert CORPORA["in_the_wild"](tmp_path, partition="train").counts("train") == (1, 1)
    table = tmp_path / "meta.csv"
    table.write_text(
        "file,speaker,label\n0.wav,A,genuine\n,A,spoof\n2.wav,A,spoof\n1.wav,A\n1.wav,A,spoof\n1.wav,B,spoof\n"
    )
    assert problems(CORPORA["in_the_wild"](tmp_path), "eval") == (
        f"{table}:2: key 'genuine'; it is bonafide or spoof",
        f"{table}:3: names no recording",
        f"{table}:4: no recording {tmp_path / '2.wav'}",
        f"{table}:5: 2 columns; the header has 3",
        f"{table}:7: 1.wav is listed twice; first at {table}:6",
    )
    table.write_text("file,who\n0.wav,A\n")
    assert "the header lacks speaker, label" in problems(CORPORA["in_the_wild"](tmp_path), "eval")[0]


def test_csv_with_columns_in_any_order_and_optional_ones(tmp_path):
    touch(tmp_path, "wav/a.wav", "wav/b.wav", "c.flac")
    table = tmp_path / "corpus.csv"
    table.write_text("partition,path,label\ntrain,wav/a.wav,bonafide\ntrain,wav/b.wav,spoof\neval,c.flac,spoof\n")
    corpus = CORPORA["csv"](table)
    assert [(each.utterance_id, each.label) for each in corpus.partition("train")] == [
        ("wav/a.wav", 1),
        ("wav/b.wav", 0),
    ]
    assert corpus.counts("eval") == (0, 1)
    table.write_text("path,label,partition,attack\na,spoof,test,A01\nb,spoof\n")
    assert problems(corpus_again := CORPORA["csv"](table)) == (
        f"{table}:2: partition 'test'; it is one of train, dev, eval",
        f"{table}:3: 2 columns; the header has 4",
    )
    table.write_text("file,label\na,spoof\n")
    assert "the header lacks path, partition" in problems(CORPORA["csv"](table))[0]
    assert corpus_again.root == table


def test_csv_as_spreadsheets_write_it(tmp_path):
    touch(tmp_path, "lists/a.wav", "far/b.wav", "far/c.wav")
    table = tmp_path / "lists" / "corpus.csv"
    table.write_text(
        "path,label,partition,speaker,attack\r\n"
        'a.wav,bonafide,eval,"Hopper, Grace\u2028II",\r\n'
        f"{tmp_path}/far/b.wav,spoof,eval,,A01\r\n"
        "../far/c.wav,spoof,eval,x,\r\n",
        encoding="utf-8-sig",
    )
    found = CORPORA["csv"](table).partition("eval")
    assert [(each.label, each.speaker_id, each.attack_id) for each in found] == [
        (1, "Hopper, Grace\u2028II", "-"),
        (0, "-", "A01"),
        (0, "x", "-"),
    ]
    assert all(each.path.is_file() for each in found)
    table.write_text(f'path,label,partition\n"{"a" * 200_000}",spoof,eval\n')
    assert problems(CORPORA["csv"](table), "eval") == (f"{table}:2: field larger than field limit (131072)",)


@pytest.mark.parametrize("layout", CORPORA)
def test_a_corpus_that_is_not_there(tmp_path, layout):
    with pytest.raises(InputError, match="absent: no such"):
        CORPORA[layout](tmp_path / "absent", **(EXAMPLES[layout].options if layout in EXAMPLES else {}))


def test_attacks_of_la19_have_kinds_and_those_of_others_in_its_layout_have_none(root):
    assert {each.kind for each in CORPORA["asvspoof2019_la"](root).partition("train")} == {"-"}
    recordings = root / "ASVspoof2019_LA_train/flac"
    lines = ["LA_0001 LA_T_1 - - bonafide", "LA_0001 LA_T_2 - A01 spoof", "LA_0002 LA_T_3 - A05 spoof"]
    (root / PROTOCOL).write_text("\n".join(lines))
    touch(recordings, "LA_T_1.flac", "LA_T_2.flac", "LA_T_3.flac")
    found = CORPORA["asvspoof2019_la"](root).partition("train")
    assert [each.kind for each in found] == ["-", "WaveNet", "WORLD vocoder"]


def test_a_csv_may_tell_kind_source_corpus_and_id(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "c.csv").write_text(
        "path,label,partition,attack,speaker,kind,source,corpus,utterance\n"
        "a.wav,bonafide,train,,s1,tts,x.wav,one,\n"
        "b.wav,spoof,train,A01,s1,tts,x.wav,two,U2\n"
    )
    first, second = CORPORA["csv"](tmp_path / "c.csv").partition("train")
    assert (first.utterance_id, first.kind, first.source, first.corpus) == ("a.wav", "-", "x.wav", "one")
    assert (second.utterance_id, second.kind, second.source, second.corpus) == ("U2", "tts", "x.wav", "two")


def test_a_csv_may_tell_who_made_a_copy(tmp_path):
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    (tmp_path / "c.csv").write_text(
        "path,label,partition,copy\na.wav,bonafide,train,\nb.wav,spoof,train,mulaw\nc.wav,spoof,train,-\n"
    )
    assert [each.copy for each in CORPORA["csv"](tmp_path / "c.csv").partition("train")] == [None, "mulaw", None]


def test_a_sealed_partition_stays_closed_even_if_it_was_read_before(root):
    corpus = CORPORA["asvspoof2019_la"](root)
    assert corpus.partition("eval")
    sealed = corpus.sealed("eval")
    with pytest.raises(SealedPartition):
        sealed.partition("eval")
    with pytest.raises(SealedPartition):
        sealed.counts("eval")
    assert sealed.partitions() == corpus.partitions()
    assert corpus.partition("eval")  # the original is as it was

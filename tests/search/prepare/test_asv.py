"""The ASV behind dev_min_tdcf: that of the corpus, or a reason why there is none."""

import dataclasses

import numpy as np
import pytest

from core.corpora.corpus import Utterance
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.evaluation.tandem import LA19_ASV
from search.prepare.asv import asv_of_corpus, asv_of_file, la19_asv, objective_problems
from search.space.reader import read_space
from tests.speech import make_corpus

SPACE = """\
name: asv
corpus: {layout: LAYOUT, path: PATH, asv_scores: ASV}
experiment: {front_end: lfcc}
search: {objective: dev_min_tdcf, validation: VALIDATION}
"""


def space_of(folder, path, *, layout="asvspoof2019_la", asv="{}", validation="dev"):
    file = folder / "s.yaml"
    text = SPACE.replace("LAYOUT", layout).replace("PATH", str(path)).replace("ASV", asv)
    file.write_text(text.replace("VALIDATION", validation))
    return read_space(file)


def write_asv(path, attacks, *, seed=0, turned=False):
    draw = np.random.default_rng(seed)
    lines = []
    for key, mean in (("target", 3), ("nontarget", 0), ("spoof", 2)):
        for number, score in enumerate(draw.normal((-1 if turned else 1) * mean, 1, 30).tolist()):
            lines.append(f"{attacks[number % len(attacks)] if key == 'spoof' else 'bonafide'} {key} {score}\n")
    path.write_text("".join(lines))


@pytest.fixture
def corpus(tmp_path):
    """The folder of a small corpus in the layout of ASVspoof 2019 LA; dev has the attacks A01 and A02, eval A07."""
    return make_corpus(tmp_path / "LA", n_per_class=4, duration_s=0.1)


def test_another_corpus_in_the_layout_of_asvspoof_2019_has_no_asv(tmp_path, corpus):
    space = space_of(tmp_path, corpus)
    opened = CORPORA["asvspoof2019_la"](corpus)
    assert asv_of_corpus(space, opened, ("train", "dev")) == {}
    (problem,) = objective_problems(space, (), {"dev"})
    assert "dev_min_tdcf needs the errors of an ASV system on dev" in problem
    assert "corpus: {asv_scores: {dev: FILE}}" in problem
    plain = dataclasses.replace(space, search=dataclasses.replace(space.search, objective="dev_eer"))
    assert objective_problems(plain, (), {"dev"}) == []


def test_a_file_of_the_space_gives_the_rates_of_its_partition(tmp_path, corpus):
    write_asv(tmp_path / "dev.txt", ("A01", "A02"))
    space = space_of(tmp_path, corpus, asv=f"{{dev: {tmp_path / 'dev.txt'}}}")
    opened = CORPORA["asvspoof2019_la"](corpus).sealed("eval")
    found = asv_of_corpus(space, opened, ("train", "dev"))
    assert set(found) == {"dev"}
    assert 0 < found["dev"].p_miss < 0.2
    assert objective_problems(space, found, {"dev"}) == []
    assert "on train" in objective_problems(space, found, {"dev", "train"})[0]  # speaker folds are of train


@pytest.mark.parametrize(
    ("attacks", "turned", "words"),
    [
        (("A07",), False, "does not belong to dev of this corpus: the attacks differ"),
        (("A01",), False, "the ASV lacks A02"),
        (("A01", "A02"), True, "both must be positive"),
    ],
)
def test_a_file_of_another_partition_or_of_a_useless_asv_is_refused(tmp_path, corpus, attacks, turned, words):
    write_asv(tmp_path / "asv.txt", attacks, turned=turned)
    utterances = CORPORA["asvspoof2019_la"](corpus).partition("dev")
    with pytest.raises(InputError, match=words):
        asv_of_file(tmp_path / "asv.txt", utterances, name="corpus.asv_scores.dev")
    space = space_of(tmp_path, corpus, asv=f"{{dev: {tmp_path / 'asv.txt'}}}")
    with pytest.raises(InputError, match=r"corpus\.asv_scores\.dev"):
        asv_of_corpus(space, CORPORA["asvspoof2019_la"](corpus), ("dev",))


def utterances(partition, prefix, attacks):
    return tuple(
        Utterance(f"{prefix}{number}", None, int(attack == "-"), "s", attack, partition)  # type: ignore[arg-type]
        for number, attack in enumerate(("-", *attacks))
    )


class Known:
    """A corpus with utterances that are given."""

    def __init__(self, **partitions):
        self.partition = partitions.__getitem__


@pytest.mark.parametrize(
    ("layout", "prefix", "attacks", "is_known"),
    [
        ("asvspoof2019_la", "LA_D_", ("A01", "A06"), True),
        ("asvspoof2019_la", "PK_D_", ("A01", "A06"), False),
        ("asvspoof2019_la", "LA_D_", ("A01", "X1"), False),
        ("asvspoof2019_la", "LA_E_", ("A01", "A06"), False),
        ("csv", "LA_D_", ("A01", "A06"), False),
    ],
)
def test_only_asvspoof_2019_la_in_its_layout_has_rates_that_are_known(tmp_path, layout, prefix, attacks, is_known):
    space = space_of(tmp_path, tmp_path, layout=layout)
    found = asv_of_corpus(space, Known(dev=utterances("dev", prefix, attacks)), ("dev",))
    assert found == ({"dev": LA19_ASV["dev"]} if is_known else {})


def test_the_rates_of_asvspoof_2019_la_are_those_of_its_attacks():
    assert la19_asv(utterances("eval", "x", ("A07", "A19"))) == LA19_ASV["eval"]
    assert la19_asv(utterances("train", "x", ("A01",))) is None
    with pytest.raises(InputError, match="dev has the attack A07; ASVspoof 2019 LA's dev has A01 to A06"):
        la19_asv(utterances("dev", "x", ("A01", "A07")))


@pytest.mark.parametrize(
    ("asv", "words"),
    [("{test: a.txt}", "no partition 'test'; there are train, dev, eval"), ("a.txt", "must name a file per partition")],
)
def test_mistakes_in_the_space_are_named(tmp_path, asv, words):
    with pytest.raises(InputError, match=words):
        space_of(tmp_path, tmp_path, asv=asv)

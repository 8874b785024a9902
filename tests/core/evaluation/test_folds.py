"""Attacks left out of training judge it; nothing leaks, and the whole of train is what is kept."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core import table
from core.corpora.asvspoof import LA19_GENERATORS, LA19_KINDS
from core.corpora.corpus import Utterance
from core.errors import InputError
from core.evaluation.folds import VALIDATIONS, Origins, origins
from core.evaluation.metrics import eer
from core.table import Block
from core.training.fit import best_detector, fit
from core.training.fit_folds import fit_folds
from tests.core.training.test_fit import PLAIN, experiment_from_plain, same, stores  # noqa: F401 - a fixture

EXPERIMENT = experiment_from_plain({**PLAIN, "epochs": 3})


def folds_of(stores, name, known=None, **options):  # noqa: F811
    return table.build("search.validation", VALIDATIONS, Block(name, options))(
        stores["train"], stores["dev"], known or Origins()
    )


def attacks(store, indices):
    return {store.attack_ids[index] for index in indices if store.labels[index] == 0}


def test_dev_has_no_folds(stores):  # noqa: F811
    assert folds_of(stores, "dev") == []


def test_every_attack_is_left_out_once_and_never_trained_on_in_its_fold(stores):  # noqa: F811
    train, dev = stores["train"], stores["dev"]
    folds = folds_of(stores, "attack_folds", k=2)
    judged = [attacks(dev, fold.validation) for fold in folds]
    assert set.union(*judged) == attacks(dev, range(len(dev)))
    assert not set.intersection(*judged)
    for fold, left_out in zip(folds, judged, strict=True):
        assert not attacks(train, fold.train) & left_out
        assert attacks(train, fold.train) | left_out == attacks(train, range(len(train)))
        # All bona fide speech of train is trained on, all of dev judges; no speaker is on both sides.
        assert (train.labels[fold.train] == 1).sum() == (train.labels == 1).sum()
        assert (dev.labels[fold.validation] == 1).sum() == (dev.labels == 1).sum()
        assert not {train.speaker_ids[i] for i in fold.train} & {dev.speaker_ids[i] for i in fold.validation}


def test_a_subset_of_a_store_is_those_utterances(stores):  # noqa: F811
    train = stores["train"]
    indices = np.array([5, 2, 9])
    subset = train.subset(indices)
    assert len(subset) == 3
    assert subset.utterance_ids == [train.utterance_ids[index] for index in indices]
    np.testing.assert_array_equal(subset.labels, train.labels[indices])
    for position, index in enumerate(indices):
        np.testing.assert_array_equal(subset.frames(position), train.frames(index))
    assert torch.equal(subset.windows(np.array([1]), 16), train.windows(np.array([2]), 16))
    assert len(train) > 3


def run(stores, *, resume=None, stop_after=None, objective="dev_eer"):  # noqa: F811
    torch.set_num_threads(1)
    folds = folds_of(stores, "attack_folds", k=2)
    reported, states = [], []

    def report(metrics, state):
        reported.append(metrics)
        kept = [{**part, "detector": {k: v.clone() for k, v in part["detector"].items()}} for part in state["parts"]]
        states.append({**state, "detector": kept[0]["detector"], "parts": kept})
        if metrics["epoch"] == stop_after:
            raise KeyboardInterrupt

    try:
        fit_folds(EXPERIMENT, stores["train"], stores["dev"], folds, report, resume=resume, objective=objective)
    except KeyboardInterrupt:
        assert stop_after
    return reported, states[-1], folds


def test_the_folds_judge_and_the_detector_of_all_of_train_is_kept(stores):  # noqa: F811
    reported, state, folds = run(stores)
    train, dev = stores["train"], stores["dev"]
    alone = []
    whole = fit(EXPERIMENT, train, dev, lambda metrics, state: alone.append(metrics))
    assert same(state["detector"], whole["detector"])
    assert [each["dev_eer"] for each in reported] == [each["dev_eer"] for each in alone]
    by_fold = []
    for fold in folds:
        metrics = []
        fit(EXPERIMENT, train.subset(fold.train), dev.subset(fold.validation), lambda m, s, to=metrics: to.append(m))
        by_fold.append([each["dev_eer"] for each in metrics])
    means = np.mean(by_fold, axis=0)
    np.testing.assert_allclose([each["fold_eer"] for each in reported], means)
    np.testing.assert_allclose([each["worst_fold_eer"] for each in reported], np.max(by_fold, axis=0))
    # The tie-breaker is at most 1e-6.
    np.testing.assert_allclose([each["objective"] for each in reported], np.minimum.accumulate(means), atol=1e-6)
    assert state["best"]["rank"][0] == means.min()
    epoch = state["best"]["epoch"]
    scores = best_detector(state).score_store(dev)
    found = eer(scores[dev.labels == 1], scores[dev.labels == 0])[0]
    assert found == pytest.approx(alone[epoch - 1]["dev_eer"], abs=1e-9)


def test_an_interrupted_training_with_folds_goes_on_to_the_same_bits(stores):  # noqa: F811
    _, whole, _ = run(stores)
    _, half, _ = run(stores, stop_after=1)
    reported, resumed, _ = run(stores, resume=half)
    assert [each["epoch"] for each in reported] == [2, 3]
    assert all(same(a["detector"], b["detector"]) for a, b in zip(whole["parts"], resumed["parts"], strict=True))
    assert whole["best"]["rank"] == resumed["best"]["rank"]


def test_auc_over_folds_is_maximised(stores):  # noqa: F811
    reported, _, _ = run(stores, objective="dev_auc")
    assert reported[-1]["objective"] == -max(each["fold_auc"] for each in reported)


def test_named_attacks_are_held_out(stores):  # noqa: F811
    name = sorted(attacks(stores["dev"], range(len(stores["dev"]))))[0]
    (fold,) = folds_of(stores, "held_out_attacks", attacks=[name])
    assert attacks(stores["dev"], fold.validation) == {name}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("held_out_attacks", {"attacks": ["A77"]}, "dev has no attack 'A77'; there are A01, A02"),
        ("held_out_attacks", {"attacks": ["A01", "A02"]}, "train has no spoofed speech left"),
        ("held_out_attacks", {"attacks": []}, "must name one attack or more"),
        ("held_out_attacks", {}, "needs 'attacks'"),
        ("attack_folds", {"k": 1}, "k is 1"),
        ("attack_folds", {"k": 9}, "k is 9; dev has 2 attacks"),
    ],
)
def test_mistakes_are_explained(stores, name, options, message):  # noqa: F811
    with pytest.raises(InputError, match=message):
        folds_of(stores, name, **options)


def columns(*rows):
    """A partition of utterances: id, label, attack, speaker."""
    ids, labels, attack_ids, speaker_ids = zip(*rows, strict=True)
    return SimpleNamespace(utterance_ids=ids, labels=np.array(labels), attack_ids=attack_ids, speaker_ids=speaker_ids)


def partition(prefix, attacks, speakers):
    rows = [(f"{prefix}b{speaker}", 1, "-", f"{prefix}{speaker}") for speaker in range(speakers)]
    rows += [
        (f"{prefix}{attack}{speaker}", 0, attack, f"{prefix}{speaker}")
        for attack in attacks
        for speaker in range(speakers)
    ]
    return columns(*rows)


SIX = [f"A0{number}" for number in range(1, 7)]


def groups_of(k, kinds=None, **options):
    train, dev = partition("t", SIX, 2), partition("d", SIX, 2)
    folds = table.build("search.validation", VALIDATIONS, Block("attack_folds", {"k": k, **options}))
    return [sorted(attacks(dev, fold.validation)) for fold in folds(train, dev, Origins(kinds or {}))]


def test_attacks_are_dealt_out_so_that_neighbours_part():
    assert groups_of(3) == [["A01", "A04"], ["A02", "A05"], ["A03", "A06"]]


def test_attacks_of_one_kind_are_left_out_together():
    kinds = {"A01": "tts", "A02": "tts", "A03": "tts", "A04": "vc", "A05": "copy", "A06": "copy"}
    assert groups_of(3, kinds) == [["A01", "A02", "A03"], ["A05", "A06"], ["A04"]]
    assert groups_of(2, kinds) == [["A01", "A02", "A03"], ["A04", "A05", "A06"]]
    with pytest.raises(InputError, match="k is 4; dev has 3 kinds of attacks"):
        groups_of(4, kinds)


def test_attacks_of_la19_that_share_a_waveform_generator_are_left_out_together():
    assert groups_of(4, LA19_KINDS) == [["A02", "A03", "A05"], ["A01"], ["A04"], ["A06"]]


def test_a_kind_of_la19_lies_within_one_class_of_the_readme_of_the_corpus():
    classes = {  # README.LA.txt; A07 is "vocoder+GAN" and A13 "waveform concatenation+waveform filtering" there
        "neural waveform": "A01 A08 A10 A12 A15",
        "vocoder": "A02 A03 A05 A07 A09 A14 A18",
        "waveform concatenation": "A04 A16",
        "spectral filtering": "A06 A19",
        "Griffin-Lim": "A11",
        "waveform filtering": "A13 A17",
    }
    assert sorted(LA19_KINDS) == sorted(" ".join(classes.values()).split())
    for attacks in LA19_GENERATORS.values():
        assert any(set(attacks) <= set(listed.split()) for listed in classes.values())


def test_groups_may_be_named():
    assert groups_of(3, groups=[["A06"], ["A01", "A02"]]) == [["A06"], ["A01", "A02"]]
    with pytest.raises(InputError, match="each attack once"):
        groups_of(3, groups=[["A06"], ["A06", "A02"]])


def test_speakers_are_left_out_with_what_is_spoofed_in_their_name():
    train, dev = partition("t", SIX[:2], 5), partition("d", SIX[:2], 2)
    folds = table.build("search.validation", VALIDATIONS, Block("speaker_folds", {"k": 2}))(train, dev, Origins())
    judged = [{train.speaker_ids[index] for index in fold.validation} for fold in folds]
    assert judged == [{"t0", "t2", "t4"}, {"t1", "t3"}]
    for fold, speakers in zip(folds, judged, strict=True):
        assert fold.partition == "train"
        assert {train.speaker_ids[index] for index in fold.train} == {f"t{k}" for k in range(5)} - speakers


def test_corpora_are_left_out_one_by_one():
    train, dev = partition("t", SIX[:2], 4), partition("d", SIX[:2], 2)
    corpora = {each: "one" if each[-1] in "01" else "two" for each in train.utterance_ids}
    build = table.build("search.validation", VALIDATIONS, Block("corpus_folds"))
    judged = [
        {corpora[train.utterance_ids[index]] for index in fold.validation}
        for fold in build(train, dev, Origins(corpora=corpora))
    ]
    assert judged == [{"one"}, {"two"}]
    with pytest.raises(InputError, match="two corpora or more"):
        build(train, dev, Origins())


@pytest.mark.parametrize("name", ["attack_folds", "speaker_folds"])
def test_no_copy_of_a_recording_is_on_both_sides_of_a_fold(name):
    train, dev = partition("t", SIX[:4], 4), partition("d", SIX[:4], 2)
    # Speaker 1's bona fide recording was spoofed in the name of speaker 2, and once in dev.
    sources = {"tb1": "one.wav", "tA012": "one.wav", "dA020": "one.wav", "tA031": "two.wav", "db0": "two.wav"}
    folds = table.build("search.validation", VALIDATIONS, Block(name, {"k": 2}))(train, dev, Origins(sources=sources))
    for fold in folds:
        judge = {"train": train, "dev": dev}[fold.partition]
        known = {sources.get(train.utterance_ids[index]) for index in fold.train} - {None}
        judging = {sources.get(judge.utterance_ids[index]) for index in fold.validation} - {None}
        assert not known & judging
        assert judging  # the case is there


def test_whoever_speaks_in_train_and_in_dev_is_not_trained_on():
    train, dev = partition("t", SIX[:2], 3), partition("d", SIX[:2], 2)
    dev.speaker_ids = ["t0" if each == "d0" else each for each in dev.speaker_ids]
    for fold in table.build("search.validation", VALIDATIONS, Block("attack_folds", {"k": 2}))(train, dev, Origins()):
        assert {train.speaker_ids[index] for index in fold.train} == {"t1", "t2"}


def test_origins_are_what_the_corpus_knows():
    def spoof(name, **more):
        return Utterance(name, Path(name), 0, "s", "A01", "train", **more)

    found = origins([spoof("a", kind="tts", source="x.wav"), spoof("b")], [spoof("c", corpus="one")])
    assert found == Origins({"A01": "tts"}, {"a": "x.wav"}, {"c": "one"})
    with pytest.raises(InputError, match="A01 is of kind 'tts' and of 'vc'"):
        origins([spoof("a", kind="tts"), spoof("b", kind="vc")])

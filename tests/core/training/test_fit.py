import contextlib
import dataclasses
import math

import numpy as np
import pytest
import torch

from core.audio import AudioOptions
from core.backbones.fg_lcnn import GenuinizedLcnn
from core.config import experiment_from_plain
from core.corpora.layouts import CORPORA
from core.detector import build_detector, normalized, score_store
from core.errors import InputError, TrainingDiverged
from core.evaluation.metrics import eer
from core.stores.extraction import extract
from core.table import Block
from core.training.fit import _same_experiment, best_detector, derived_seed, fit
from core.training.modes import attack_numbers
from tests.speech import make_corpus

PLAIN = {
    "front_end": {"name": "lfcc", "deltas": False},
    "input": {"n_frames": 32},
    "backbone": {"name": "senet18", "width": 4, "embedding_dim": 16},
    "pairs": {"name": "random", "n_pairs": 20},
    "classifier": {"name": "mlp", "hidden": 8, "epochs": 4},
    "lr_schedule": {"name": "constant", "lr": 2e-3},
    "batch_size": 8,
    "epochs": 4,
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("corpus")
    corpus = CORPORA["asvspoof2019_la"](make_corpus(root / "LA"))
    front_end = Block("lfcc", {"deltas": False})
    return {
        name: extract(corpus.partition(name), front_end, AudioOptions(), root=root / "stores")
        for name in ("train", "dev", "eval")
    }


def run(stores, *, resume=None, stop_after=None, **changes):
    """The epochs' metrics and the last state of a training; `stop_after` an epoch it is cut off."""
    reported, states = [], []

    def report(metrics, state):
        reported.append(metrics)
        states.append({**state, "detector": {k: v.clone() for k, v in state["detector"].items()}})
        if metrics["epoch"] == stop_after:
            raise SystemExit

    with contextlib.suppress(SystemExit):
        fit(experiment_from_plain({**PLAIN, **changes}), stores["train"], stores["dev"], report, resume=resume)
    return reported, states[-1]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("mode", ["siamese", "original"])
def test_training_separates_the_classes(stores, mode):
    reported, state = run(stores, mode=mode, epochs=8)
    assert [each["epoch"] for each in reported] == list(range(1, 9))
    assert state["best"]["metrics"]["dev_eer"] < 0.2
    assert ("negative_distance" in reported[0]) == (mode == "siamese")
    detector = best_detector(state)
    scores = score_store(detector, stores["dev"])
    labels = stores["dev"].labels
    rate = eer(scores[labels == 1], scores[labels == 0])[0]
    assert rate == pytest.approx(state["best"]["metrics"]["dev_eer"], abs=1e-9)


def test_the_contrastive_loss_pushes_the_classes_apart(stores):
    reported, _ = run(stores, epochs=6)
    ratio = [each["negative_distance"] / each["positive_distance"] for each in reported]
    assert ratio[-1] > 1.5 * ratio[0] or ratio[-1] > 3
    assert reported[-1]["loss"] < reported[0]["loss"]


@pytest.mark.parametrize("mode", ["siamese", "original"])
def test_the_seed_repeats_every_bit_and_another_differs(stores, mode):
    first, second, other = (run(stores, mode=mode, epochs=2, seed=seed) for seed in (1, 1, 2))
    assert first[0] == second[0]
    assert same(first[1]["detector"], second[1]["detector"])
    assert not same(first[1]["detector"], other[1]["detector"])


@pytest.mark.parametrize("mode", ["siamese", "original"])
@pytest.mark.parametrize("backbone", ["senet18", "lcnn"])  # lcnn draws dropout
def test_an_interrupted_training_goes_on_to_the_same_bits(stores, mode, backbone):
    changes = {"mode": mode, "backbone": {"name": backbone, "embedding_dim": 16}, "epochs": 3}
    whole, state = run(stores, **changes)
    begun, saved = run(stores, stop_after=2, **changes)
    rest, resumed = run(stores, resume=saved, **changes)
    assert begun + rest == whole
    assert same(resumed["detector"], state["detector"])
    assert resumed["best"]["rank"] == state["best"]["rank"]
    torch.manual_seed(0)  # a finished training resumes to itself
    assert run_again(stores, state, changes)["epoch"] == 3


def run_again(stores, state, changes):
    experiment = experiment_from_plain({**PLAIN, **changes})
    return fit(experiment, stores["train"], stores["dev"], lambda *_: pytest.fail("trained again"), resume=state)


def test_resuming_another_experiment_is_refused(stores):
    _, state = run(stores, epochs=1)
    with pytest.raises(InputError, match="belongs to another experiment"):
        run(stores, resume=state, epochs=2)


def test_evaluation_every_k_epochs_and_at_the_last(stores):
    reported, _ = run(stores, epochs=5, evaluate_every=2)
    assert [each["epoch"] for each in reported if "dev_eer" in each] == [2, 4, 5]
    assert "objective" not in reported[0]
    assert reported[2]["objective"] == reported[1]["objective"]


def test_the_best_epoch_is_kept_whatever_comes_after(stores):
    reported, state = run(stores, epochs=5)
    best = min(reported, key=lambda each: (each["dev_eer"], each["dev_loss"]))
    assert state["best"]["epoch"] == best["epoch"]
    objectives = [each["objective"] for each in reported]
    assert objectives == list(np.minimum.accumulate([each["dev_eer"] for each in reported]))


def test_a_diverging_training_says_so(stores):
    with pytest.raises(TrainingDiverged, match="epoch"):
        run(stores, mode="original", lr_schedule={"name": "constant", "lr": 1e30}, epochs=3)


def test_stopping_leaves_no_thread_behind(stores):
    import threading

    before = threading.active_count()
    run(stores, stop_after=1)
    assert threading.active_count() == before


def test_one_utterance_scores_the_same_alone_as_among_others(stores):
    torch.manual_seed(0)
    detector = build_detector(experiment_from_plain(PLAIN), stores["dev"].n_features)
    together = score_store(detector, stores["dev"])
    store = stores["dev"]
    detector.eval()
    with torch.inference_mode():
        features = [torch.from_numpy(store.frames(index).T.copy()) for index in range(len(store))]
        alone = np.array([detector.score_utterance(each) for each in features])
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)


def test_normalization_by_hand():
    features = torch.tensor([[[1.0, 3.0], [5.0, 5.0]]])
    options = experiment_from_plain({**PLAIN, "input": {"normalize": "mean_variance"}}).input
    assert normalized(features, options).tolist() == [[[-1.0, 1.0], [0.0, 0.0]]]


def test_seeds_of_different_purposes_differ_and_stay():
    assert derived_seed(0, "epoch", 1) == derived_seed(0, "epoch", 1)
    found = {derived_seed(seed, what, k) for seed in range(3) for what in ("epoch", "dropout") for k in range(3)}
    assert len(found) == 18
    assert all(0 <= each < 2**63 for each in found)


def test_an_unknown_objective_is_named(stores):
    with pytest.raises(InputError, match="dev_eer"):
        fit(experiment_from_plain(PLAIN), stores["train"], stores["dev"], lambda *_: None, objective="eval_eer")
    with pytest.raises(InputError, match="dev_min_tdcf needs the error rates of an ASV"):
        fit(experiment_from_plain(PLAIN), stores["train"], stores["dev"], lambda *_: None, objective="dev_min_tdcf")


def test_auc_is_maximised(stores):
    states = []
    fit(
        experiment_from_plain({**PLAIN, "epochs": 3}),
        stores["train"],
        stores["dev"],
        lambda metrics, state: states.append((metrics, state)),
        objective="dev_auc",
    )
    best = max(metrics["dev_auc"] for metrics, _ in states)
    assert states[-1][1]["best"]["metrics"]["dev_auc"] == best
    assert math.isclose(states[-1][0]["objective"], -best)


def test_multiclass_tells_attacks_apart_and_the_classifier_judges(stores):
    changes = {"mode": "multiclass", "classifier": {"name": "lda"}, "backbone": {**PLAIN["backbone"], "width": 8}}
    metrics, state = run(stores, epochs=8, **changes)
    assert metrics[-1]["loss"] < 0.5 * math.log(len(set(stores["train"].attack_ids)))
    assert metrics[-1]["objective"] < 0.2
    assert "directions" not in state["extra"]
    assert state["extra"]["weight"].shape == (len(set(stores["train"].attack_ids)), 16)
    assert not any(
        "weight" in name and "classifier" in name and value.ndim > 1
        for name, value in state["best"]["detector"].items()
    )


def test_attacks_are_numbered_from_one_and_bona_fide_is_zero(stores):
    numbers = attack_numbers(stores["train"])
    assert set(numbers[stores["train"].labels == 1]) == {0}
    names = {(number, name) for number, name in zip(numbers, stores["train"].attack_ids, strict=True) if number}
    assert [name for _, name in sorted(names)] == sorted(name for _, name in names)


@pytest.mark.parametrize("head", ["a_softmax", "am_softmax", "oc_softmax"])
def test_original_mode_takes_every_head_and_resumes(stores, head):
    changes = {"mode": "original", "head": head}
    metrics, whole = run(stores, epochs=3, **changes)
    assert math.isfinite(metrics[-1]["loss"])
    _, half = run(stores, epochs=3, stop_after=1, **changes)
    _, resumed = run(stores, epochs=3, resume=half, **changes)
    assert same(whole["detector"], resumed["detector"])


def test_a_genuinized_network_trains_and_resumes_without_preparing_again(stores, monkeypatch):
    changes = {
        "mode": "original",
        "backbone": {"name": "fg_lcnn", "width": 4, "genuinizer_epochs": 2, "genuinizer_width": 4},
    }
    _, whole = run(stores, epochs=2, **changes)
    _, half = run(stores, epochs=2, stop_after=1, **changes)
    monkeypatch.setattr(GenuinizedLcnn, "prepare", None)
    _, resumed = run(stores, epochs=2, resume=half, **changes)
    assert same(whole["detector"], resumed["detector"])


def test_snapshots_keep_the_epochs_that_were_asked_for(stores):
    _, state = run(stores, snapshot_epochs=[1, 3])
    assert set(state["snapshots"]) == {"1", "3"}
    assert not same(state["snapshots"]["1"], state["snapshots"]["3"])
    _, half = run(stores, snapshot_epochs=[1, 3], stop_after=2)
    _, resumed = run(stores, snapshot_epochs=[1, 3], resume=half)
    assert same(state["snapshots"]["3"], resumed["snapshots"]["3"])
    assert same(state["snapshots"]["1"], resumed["snapshots"]["1"])


def test_a_training_goes_on_with_weights_that_moved_and_not_with_another_experiment():
    first = experiment_from_plain({**PLAIN, "front_end": {"name": "wav2vec", "checkpoint": "/old/w.pt"}})
    options = {"checkpoint": "/new/w.pt", "layer": "encoder"}
    moved, other = (
        dataclasses.replace(first, front_end=Block("wav2vec", {name: options[name] for name in names}))
        for names in (("checkpoint",), ("checkpoint", "layer"))
    )
    assert _same_experiment(first, moved)
    assert not _same_experiment(first, other)
    assert not _same_experiment(first, dataclasses.replace(moved, epochs=99))

import dataclasses

import pytest
import torch

from core.config import experiment_from_plain
from core.features.augmentation import AugmentOptions, augmented
from core.training.fit import fit
from tests.core.training.test_fit import PLAIN, same, stores  # noqa: F401 - a fixture

FEATURES = torch.randn(12, 20, 50, generator=torch.Generator().manual_seed(0)).half()
LABELS = torch.arange(12) % 2
EVERYTHING = {
    "time_masks": 2,
    "time_mask_frames": 8,
    "frequency_masks": 1,
    "frequency_mask_share": 0.3,
    "noise": 0.1,
    "mixup": 0.5,
}


def changed(features=FEATURES, seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return augmented(features, LABELS, AugmentOptions(**options), generator)


def test_what_is_off_changes_nothing():
    assert changed() is FEATURES


@pytest.mark.parametrize("option", EVERYTHING)
def test_the_generator_alone_determines_the_change(option):
    options = {**EVERYTHING, option: EVERYTHING[option]}
    torch.manual_seed(1)
    first = changed(**options, seed=3)
    torch.manual_seed(2)
    assert torch.equal(changed(**options, seed=3), first)
    assert not torch.equal(changed(**options, seed=4), first)
    assert first.shape == FEATURES.shape
    assert torch.isfinite(first).all()


def masked(found):
    """Where the features' means stand, `(batch, n_features, n_frames)`."""
    return found == FEATURES.float().mean(dim=2, keepdim=True)


def test_masks_in_time_are_stretches_of_all_features_and_not_too_long():
    widths = set()
    for seed in range(30):
        found = changed(seed=seed, time_masks=1, time_mask_frames=8)
        mask = masked(found)
        assert torch.equal(mask.all(dim=1), mask.any(dim=1))  # all features or none
        assert torch.equal(found[~mask], FEATURES.float()[~mask])
        for window in mask.any(dim=1):
            places = torch.nonzero(window).flatten()
            widths.add(len(places))
            assert len(places) == 0 or places[-1] - places[0] == len(places) - 1
    assert widths == set(range(9))


def test_masks_in_frequency_are_bands_over_all_frames_and_not_too_wide():
    widths = set()
    for seed in range(30):
        mask = masked(changed(seed=seed, frequency_masks=1, frequency_mask_share=0.3))
        assert torch.equal(mask.all(dim=2), mask.any(dim=2))
        widths |= set(mask.any(dim=2).sum(dim=1).tolist())
    assert widths == set(range(7))  # 0.3 of 20 features


def test_noise_has_the_size_that_was_asked_for():
    difference = changed(noise=0.25) - FEATURES.float()
    share = difference.std(dim=2) / FEATURES.float().std(dim=2, correction=0)
    assert share.mean().item() == pytest.approx(0.25, rel=0.03)


def test_windows_are_mixed_with_their_own_class_and_keep_the_larger_share():
    value = torch.where(LABELS == 1, 1.0, 100.0) * (1 + torch.arange(12) / 1000)
    found = changed(value[:, None, None].expand(12, 20, 50), mixup=1.0)[:, 0, 0]
    assert (found[LABELS == 1] < 2).all()
    assert (found[LABELS == 0] > 99).all()
    assert not torch.equal(found, value)
    middle = {label: value[label == LABELS].mean() for label in (0, 1)}
    for before, after, label in zip(value, found, LABELS.tolist(), strict=True):
        lowest, highest = value[label == LABELS].min(), value[label == LABELS].max()
        assert lowest <= after <= highest
        # At most half of the way to another, so that the farthest do not cross the middle.
        assert abs(after - before) <= (highest - lowest) / 2 + 1e-3 * middle[label]


def test_training_with_everything_on_goes_on_to_the_same_bits(stores):  # noqa: F811
    torch.set_num_threads(1)
    experiment = experiment_from_plain({**PLAIN, "epochs": 2, "augment": EVERYTHING})
    states = []

    def report(metrics, state):
        kept = {name: value.clone() for name, value in state["detector"].items()}
        states.append({**state, "detector": kept})
        if len(states) == 1:
            raise KeyboardInterrupt

    whole = fit(experiment, stores["train"], stores["dev"], lambda metrics, state: None)
    with pytest.raises(KeyboardInterrupt):
        fit(experiment, stores["train"], stores["dev"], report)
    resumed = fit(experiment, stores["train"], stores["dev"], lambda metrics, state: None, resume=states[0])
    assert same(resumed["detector"], whole["detector"])
    plain = fit(
        dataclasses.replace(experiment, augment=AugmentOptions()), stores["train"], stores["dev"], lambda m, s: None
    )
    assert not same(plain["detector"], whole["detector"])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("time_masks", -1, "time_masks is -1; it must be at least 0"),
        ("time_mask_frames", 0, "time_mask_frames is 0"),
        ("frequency_mask_share", 1.5, "frequency_mask_share is 1.5"),
        ("noise", -0.1, "noise is -0.1"),
        ("mixup", -1.0, "mixup is -1.0"),
    ],
)
def test_mistakes_are_explained(option, value, message):
    with pytest.raises(ValueError, match=message):
        AugmentOptions(**{option: value})

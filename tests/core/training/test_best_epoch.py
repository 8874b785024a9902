"""The best epoch: the first of the lowest rank, kept apart from what goes on training."""

import math

import torch

from core.training.best_epoch import BestEpoch


def offered(best, *ranks, first=1):
    for epoch, rank in enumerate(ranks, start=first):
        best.offer(rank, epoch=epoch, metrics={"dev_eer": rank[0]}, weights={"w": torch.tensor(float(epoch))})
    return best


def test_the_first_of_the_lowest_rank_is_kept():
    best = offered(BestEpoch(), (0.3, 1.0), (0.2, 2.0), (0.2, 1.5), (0.2, 1.5), (0.25, 0.1))
    weights = {"w": torch.tensor(3.0)}
    assert best.kept == {"epoch": 3, "rank": [0.2, 1.5], "metrics": {"dev_eer": 0.2}, "detector": weights}
    assert best.objective() == {"objective": 0.2}


def test_nothing_is_kept_before_an_epoch_is_offered_and_what_is_no_number_is_never_better():
    assert BestEpoch().kept is None
    assert BestEpoch().objective() == {}
    assert offered(BestEpoch(), (0.3,), (math.nan,)).kept["epoch"] == 1


def test_what_a_checkpoint_kept_goes_on():
    earlier = offered(BestEpoch(weights_name="network"), (0.3,), (0.2,)).kept
    assert offered(BestEpoch(earlier, weights_name="network"), (0.25,), first=3).kept == earlier
    better = offered(BestEpoch(earlier, weights_name="network"), (0.1,), first=3).kept
    assert better["network"] == {"w": torch.tensor(3.0)}


def test_weights_and_metrics_are_copies():
    weights, metrics = {"w": torch.zeros(2)}, {"dev_eer": 0.1}
    best = BestEpoch()
    best.offer([0.1], epoch=1, metrics=metrics, weights=weights)
    weights["w"] += 1
    metrics["dev_eer"] = 0.9
    assert best.kept["detector"]["w"].tolist() == [0, 0]
    assert best.kept["metrics"] == {"dev_eer": 0.1}

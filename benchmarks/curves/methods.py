"""METHODS: ways to search that a replay compares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.table import Block
from search.tuning.searcher import OptunaSearcher


@dataclass(frozen=True)
class Method:
    """A way to search: a row of SAMPLERS, a row of SCHEDULERS, and a searcher that tells the sampler of the trials."""

    sampler: Block
    scheduler: Block = Block("none")
    searcher: type[OptunaSearcher] = OptunaSearcher


class ToldAtTheEnd(OptunaSearcher):
    """Tells the sampler one value of a trial, when it ends, and does not tell whether it was stopped early."""

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Does nothing."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the value as that of a finished training."""
        super().on_trial_complete(trial_id, {**(result or {}), "epochs": 0}, error)


ASHA = Block("asha")
EARLY = Block("asha", {"grace_epochs": 1})

METHODS: Mapping[str, Method] = {
    "random": Method(Block("random")),
    "random + asha": Method(Block("random"), ASHA),
    "random + asha from epoch 1": Method(Block("random"), EARLY),
    "tpe": Method(Block("tpe")),
    "tpe + asha, told at the end": Method(Block("tpe"), ASHA, ToldAtTheEnd),
    "tpe + asha": Method(Block("tpe"), ASHA),
    "tpe + asha from epoch 1": Method(Block("tpe"), EARLY),
    "tpe + median": Method(Block("tpe"), Block("median")),
    "gp": Method(Block("gp")),
    "gp + asha, told at the end": Method(Block("gp"), ASHA, ToldAtTheEnd),
    "gp + asha": Method(Block("gp"), ASHA),
    "gp + asha from epoch 2": Method(Block("gp"), Block("asha", {"grace_epochs": 2})),
    "gp + asha from epoch 1": Method(Block("gp"), EARLY),
}
"""The first one is what the others are compared with."""

"""The options of a space that are no part of its experiment: which corpus, and how to search."""

from dataclasses import dataclass
from typing import Literal

from core.table import Block


@dataclass(frozen=True)
class CorpusOptions:
    """Which corpus, and what to do about recordings that cannot be used.

    Attributes:
        layout: Row of CORPORA and its options.
        path: Folder or file of the corpus, relative to the current folder.
        on_bad_audio: `stop` names the bad recordings and stops; `skip` leaves them out and lists them.
    """

    layout: Block
    path: str
    on_bad_audio: Literal["stop", "skip"] = "stop"


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        objective: Metric that is optimised, best epoch of a trial.
        validation: Row of VALIDATIONS: dev, or attacks that are left out of training.
        cost: What the sampler is to keep low besides, so that it looks for the whole front of good and cheap detectors:
            `gmacs` or `parameters`, of scoring an utterance; what is exported is the best all the same.
        sampler: Row of SAMPLERS: what suggests the next configuration.
        scheduler: Row of SCHEDULERS: what stops a trial early.
        trials: Configurations to try.
        baseline: Whether the first of them is the paper's, as nearly as the space holds it.
        warm_start: Runs in the same storage whose trials the sampler learns from, where this space could suggest them.
        proxy: Row of PROXIES: trials that are trained in part, for `confirm` to train the best in full.
        confirm: Row of CONFIRMATIONS: the best configurations trained again with fresh seeds.
        hours: Wall-clock limit; None = no limit.
        gpu_hours: Limit of the GPU-hours of all trials together; None = no limit.
        patience: The search ends after so many trials in a row that found nothing better; None = never.
        deaths: How often a trial whose process or node died is started again, from its last epoch.
        concurrency: Trials at a time; None = as many as the resources hold.
        cpus: CPUs a trial; its arithmetic uses as many threads.
        gpus: GPUs a trial; a fraction shares one.
        seed: Determines what the sampler suggests.
        storage: Folder or URL of runs and feature stores.
        node_cache: Folder of each node's own disk, into which its trials copy feature stores once; None = they read
            them where they lie, or for a URL in the node's working copy.
    """

    objective: str = "dev_eer"
    validation: Block = Block("dev")
    cost: Literal["none", "gmacs", "parameters"] = "none"
    sampler: Block = Block("tpe")
    scheduler: Block = Block("asha")
    trials: int = 20
    baseline: bool = True
    warm_start: tuple[str, ...] = ()
    proxy: Block = Block("none")
    confirm: Block = Block("none")
    hours: float | None = None
    gpu_hours: float | None = None
    patience: int | None = None
    deaths: int = 5
    concurrency: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    seed: int = 0
    storage: str = "storage"
    node_cache: str | None = None

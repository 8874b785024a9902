"""The sections `corpus`, `eval` and `search` of a space: which corpora, and how to search."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.table import Block


@dataclass(frozen=True)
class CorpusOptions:
    """The section `corpus`: which corpus, and how to treat unusable recordings.

    Attributes:
        layout: Row of CORPORA with its options: how the corpus lies on disk.
        path: Folder or file of the corpus, relative to the current folder.
        asv_scores: Partition -> score file of an ASV system on it, for `dev_min_tdcf` and for reports.
        on_bad_audio: `stop` reports unusable recordings and ends the run; `skip` leaves them out and lists them.
    """

    layout: Block
    path: str
    on_bad_audio: Literal["stop", "skip"] = "stop"
    asv_scores: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvalCorpus:
    """An entry of the section `eval`: a corpus on which bundles are measured. A search never opens it.

    Attributes:
        name: Name by which a command chooses it.
        corpus: The corpus.
    """

    name: str
    corpus: CorpusOptions


@dataclass(frozen=True)
class SearchOptions:
    """The section `search`: how to search.

    Attributes:
        objective: Row of OBJECTIVES: the metric that ranks trials, at the best epoch of a trial.
        validation: Row of VALIDATIONS: the data by which a trial is judged: dev, or folds of train.
        cost: Second quantity that the sampler minimises, so that it searches for the Pareto front: `gmacs` (billions of
            multiply-accumulates for scoring an utterance) or `parameters`. The objective alone still decides which
            detector is exported.
        sampler: Row of SAMPLERS: how the next configuration is suggested.
        scheduler: Row of SCHEDULERS: how trials are stopped early.
        trials: Number of trials, at least 1.
        baseline: Whether the first trial is the baseline: every hyperparameter has the prior that the space states, or
            else its default as nearly as the range contains it.
        warm_start: Runs in the same storage. The sampler learns from those of their trials that lie in this space.
        proxy: Row of PROXIES: shortened trainings for the search; needs `confirm`, which trains in full.
        confirm: Row of CONFIRMATIONS: whether the best configurations are trained again with fresh seeds.
        hours: Wall-clock limit in hours, above 0; None = no limit.
        gpu_hours: Limit in GPU-hours of all trials together, above 0; None = no limit.
        patience: The search ends after this number of consecutive trials without an improvement; None = never.
        deaths: Maximum number of restarts of a trial whose process or node died. It resumes after its last epoch.
        concurrency: Maximum number of trials that run at the same time; None = as many as the resources allow.
        lag: Decisions about trial n use only the trials up to n - `lag`. So the search depends on its seed alone, and
            neither on time nor on the number of workers. At most `lag` trials run at the same time. None = decisions
            use all that is known when they are made.
        cpus: CPUs per trial, which is also its number of threads.
        gpus: GPUs per trial; trials with a fraction share a GPU.
        seed: Seed of the suggestions.
        storage: Folder or URL of runs and feature stores.
        node_cache: Folder on the local disk of every node. The trials of a node copy feature stores there once. None =
            trials read the stores in the storage, or for a URL in the working copy of the node.
    """

    objective: str = "dev_eer"
    validation: Block = Block("dev")
    cost: Literal["none", "gmacs", "parameters"] = "none"
    sampler: Block = Block("gp")
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
    lag: int | None = None
    cpus: int = 1
    gpus: float = 0.0
    seed: int = 0
    storage: str = "storage"
    node_cache: str | None = None

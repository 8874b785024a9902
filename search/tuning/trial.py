"""One trial: the only bridge between Ray and core."""

import math
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ray import tune

from core import checkpoint, table
from core.evaluation.folds import VALIDATIONS, Origins
from core.stores.store import FeatureStore
from core.training.fit import fit
from core.training.fit_folds import fit_folds
from search.methods.proxies import PROXIES
from search.runs.retry import StorageLost, with_retries
from search.runs.storage import Storage
from search.runs.trial_folder import CHECKPOINT
from search.space.parameter import Values
from search.space.space import Space, store_name


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a search share; a copy of it goes to every process that trains one."""

    space: Space
    """What is searched."""

    storage: str
    """The place of the storage: a path, or a URL."""

    stores: Mapping[str, Mapping[str, str]]
    """From `store_name` of an experiment and a partition to the folder of the feature store in the storage."""

    origins: Origins
    """What folds need to know of the utterances."""

    checkpoints: Mapping[int, str]
    """By number, the latest checkpoint in the storage of a trial that an earlier part of the search left unfinished."""

    recorded: Mapping[int, int]
    """By number, the last epoch of such a trial that the search has heard of."""


@dataclass(frozen=True)
class TrialConfig:
    """What tells one trial from the others; Ray carries it as a dict of these keys."""

    number: int
    """Of the trial."""

    values: Values
    """Its configuration."""

    confirmation_seed: int | None = None
    """The fresh seed of a training that confirms a configuration: no proxy stands for the whole then.

    None = a trial of the search, with the seed of its experiment.
    """


def run_trial(config: Mapping[str, Any], setup: TrialSetup) -> None:
    """Trains one configuration, from its last checkpoint where there is one, and reports every epoch to Tune.

    Args:
        config: The fields of a TrialConfig.
        setup: What all trials share.

    A configuration that fails is reported as such and the trial ends: Tune's own errors are left to processes and nodes
    that die, which it starts again. So is a storage that cannot be written, which ends the search.
    """
    torch.set_num_threads(setup.space.search.cpus)
    try:
        _train(TrialConfig(**config), setup)
    except StorageLost as error:
        tune.report({"objective": math.inf, "storage_lost": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it was, it is this configuration that failed
        text = f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"
        tune.report({"objective": math.inf, "failed": text})
    finally:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # the process is used again by the next trial


def _train(trial: TrialConfig, setup: TrialSetup) -> None:
    options = setup.space.search
    experiment = setup.space.experiment(trial.values)
    proxy = None
    if trial.confirmation_seed is not None:
        experiment = replace(experiment, seed=trial.confirmation_seed)
    else:
        proxy = table.build("search.proxy", PROXIES, options.proxy)
        experiment = proxy.experiment(experiment) if proxy else experiment
    storage = Storage(setup.storage, options.node_cache)
    folders = setup.stores[store_name(experiment)]
    device = "cuda" if options.gpus and torch.cuda.is_available() else "cpu"
    if device == "cuda" and options.gpus < 1:
        torch.cuda.set_per_process_memory_fraction(options.gpus)
    saved = tune.get_checkpoint()
    resume = None
    if saved is not None:
        with saved.as_directory() as folder:
            resume = checkpoint.load(Path(folder) / CHECKPOINT)
    elif trial.number in setup.checkpoints:
        resume = checkpoint.load(storage.file(setup.checkpoints[trial.number]))
    if resume is not None:
        ended = resume["epoch"] == experiment.epochs  # it was cut off between its last checkpoint and its end
        if ended or (saved is None and resume["epoch"] > setup.recorded[trial.number]):
            # The search was cut off before it heard of this epoch: the scheduler is to judge it as if it had not.
            _report(resume["measured"], resume)
        if ended:
            return
    train, dev = (FeatureStore.open(storage.local_store(folders[partition])) for partition in ("train", "dev"))
    if proxy:
        train = proxy.training_subset(train, experiment.seed)
    folds = table.build("search.validation", VALIDATIONS, options.validation)(train, dev, setup.origins)
    how: dict[str, Any] = {"device": device, "objective": options.objective, "resume": resume}
    if folds:
        fit_folds(experiment, train, dev, folds, _report, **how)
    else:
        fit(experiment, train, dev, _report, **how)


def _report(metrics: dict[str, float], state: dict[str, Any]) -> None:
    best = (state["best"] or {}).get("metrics", {})
    reported = {
        "objective": math.inf,  # unknown until the first evaluation
        **metrics,
        **{f"best_{name}": value for name, value in best.items() if name.startswith(("dev_", "fold_", "worst_"))},
        "best_epoch": best.get("epoch", 0),
        "epochs": state["experiment"]["epochs"],
    }
    with tempfile.TemporaryDirectory(prefix="spooftune-") as folder:
        checkpoint.save(Path(folder) / CHECKPOINT, {**state, "measured": metrics})
        saved = tune.Checkpoint.from_directory(folder)
        with_retries(lambda: tune.report(reported, checkpoint=saved), "the trial's checkpoint")

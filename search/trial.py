"""One trial: the only bridge between Ray and core."""

import math
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ray import tune

from core import checkpoint, table
from core.features.store import FeatureStore
from core.fit_folds import fit_folds
from core.training import fit
from core.validation import VALIDATIONS
from search.patience import StorageLost, patiently
from search.proxy import PROXIES
from search.run import CHECKPOINT
from search.space import Space, store_name
from search.storage import Storage


def run_trial(config: Mapping[str, Any], setup: Mapping[str, Any]) -> None:
    """Trains one configuration, from its last checkpoint where there is one, and reports every epoch to Tune.

    Args:
        config: `number` of the trial, its `values`; in a confirmation the `seed`, too, and then no proxy stands for the
            whole.
        setup: What all trials share: `space`, `storage` (its place), `stores` (from `store_name` of an experiment to
            the folders of train and dev in the storage), `origins` of their utterances, `checkpoints` (by number, of
            trials that an earlier part of the search left unfinished) and the last epochs `recorded` of these.

    A configuration that fails is reported as such and the trial ends: Tune's own errors are left to processes and nodes
    that die, which it starts again. So is a storage that cannot be written, which ends the search.
    """
    space: Space = setup["space"]
    number, gpus = int(config["number"]), space.search.gpus
    torch.set_num_threads(space.search.cpus)
    try:
        experiment = space.experiment(config["values"])
        proxy = None
        if "seed" in config:
            experiment = replace(experiment, seed=config["seed"])
        else:
            proxy = table.build("search.proxy", PROXIES, space.search.proxy)
            experiment = proxy.experiment(experiment) if proxy else experiment
        storage = Storage(setup["storage"], space.search.node_cache)
        folders = setup["stores"][store_name(experiment)]
        device = "cuda" if gpus and torch.cuda.is_available() else "cpu"
        if device == "cuda" and gpus < 1:
            torch.cuda.set_per_process_memory_fraction(gpus)
        saved = tune.get_checkpoint()
        resume = None
        if saved is not None:
            with saved.as_directory() as folder:
                resume = checkpoint.load(Path(folder) / CHECKPOINT)
        elif number in setup["checkpoints"]:
            resume = checkpoint.load(storage.file(setup["checkpoints"][number]))
        if resume is not None:
            ended = resume["epoch"] == experiment.epochs  # it was cut off between its last checkpoint and its end
            if ended or (saved is None and resume["epoch"] > setup["recorded"][number]):
                # The search was cut off before it heard of this epoch: the scheduler is to judge it as if it had not.
                _report(resume["measured"], resume)
            if ended:
                return
        train, dev = (FeatureStore.open(storage.fetched(folders[partition])) for partition in ("train", "dev"))
        if proxy:
            train = proxy.train(train, experiment.seed)
        folds = table.build("search.validation", VALIDATIONS, space.search.validation)(train, dev, setup["origins"])
        how: dict[str, Any] = {"device": device, "objective": space.search.objective, "resume": resume}
        if folds:
            fit_folds(experiment, train, dev, folds, _report, **how)
        else:
            fit(experiment, train, dev, _report, **how)
    except StorageLost as error:
        tune.report({"objective": math.inf, "storage_lost": str(error)})
    except Exception as error:  # noqa: BLE001 - whatever it was, it is this configuration that failed
        text = f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}"
        tune.report({"objective": math.inf, "failed": text})
    finally:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # the process is used again by the next trial


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
        patiently(lambda: tune.report(reported, checkpoint=saved), "the trial's checkpoint")

import numpy as np
import pytest
import torch

from core import table
from core.config import experiment_from_plain, experiment_to_plain
from core.corpora.layouts import CORPORA
from core.detector import score_store
from core.errors import InputError
from core.evaluation.metrics import eer
from core.features import FRONT_ENDS
from core.stores.extraction import extract
from core.systems import SYSTEMS, laid_over
from core.training.fit import best_detector, fit
from tests.speech import make_corpus


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_an_experiment_under_one_name(name):
    experiment = experiment_from_plain({"system": name})
    assert experiment.front_end.name == SYSTEMS[name]["front_end"]["name"]
    assert experiment.mode == SYSTEMS[name]["mode"]
    assert experiment_from_plain(experiment_to_plain(experiment)) is not None


def test_fields_are_laid_over_a_system():
    changed = experiment_from_plain(
        {"system": "lps-fft-lcnn", "epochs": 3, "backbone": {"width": 8}, "head": "linear", "input": {"n_frames": 64}}
    )
    assert changed.epochs == 3
    assert changed.backbone.plain() == {"name": "lcnn", "dropout": 0.75, "width": 8}
    assert changed.head.plain() == {"name": "linear"}
    assert changed.front_end.options["n_fft"] == 1724
    assert changed.input.n_frames == 64


def test_another_row_takes_nothing_of_the_systems_options():
    assert laid_over({"backbone": {"name": "lcnn", "dropout": 0.75}}, {"backbone": {"name": "senet18"}}) == {
        "backbone": {"name": "senet18"}
    }


def test_an_unknown_system_is_named():
    with pytest.raises(InputError, match=r"no 'lfcc-gm'; .*did you mean 'lfcc-gmm'"):
        experiment_from_plain({"system": "lfcc-gm"})


def test_a_wav2vec_system_needs_weights_or_says_that_it_has_none():
    system = experiment_from_plain({"system": "wav2vec-senet34"})
    with pytest.raises(InputError, match="needs `checkpoint: FILE` or `random_init: true`"):
        table.build("front_end", FRONT_ENDS, system.front_end)
    random = experiment_from_plain({"system": "wav2vec-senet34", "front_end": {"random_init": True, "size": "tiny"}})
    assert table.build("front_end", FRONT_ENDS, random.front_end).n_features > 0


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("systems")
    return CORPORA["asvspoof2019_la"](make_corpus(root / "LA")), root / "stores"


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_trains_scores_and_comes_back_from_its_state(name, corpus):
    torch.set_num_threads(1)
    opened, stores = corpus
    system = SYSTEMS[name]
    small = {"epochs": 2, "batch_size": 8, "input": {"n_frames": 40}, "gmm": {"n_components": 4}}
    if system["front_end"]["name"] == "waveform":
        small["input"] = {"n_frames": 2400}
        small["backbone"] = {"channels": [4, 4], "kernel": 17}
        if name == "rawnet2":
            small["backbone"] |= {"units": 4, "embedding_dim": 16}
    elif system["mode"] != "gmm":
        small["backbone"] = {"width": 4, "embedding_dim": 16}
        if system["backbone"]["name"] == "fg_lcnn":
            small["backbone"] |= {"genuinizer_epochs": 1, "genuinizer_width": 4}
    if system["front_end"]["name"] == "wav2vec":
        small["front_end"] = {"random_init": True, "size": "tiny"}
    experiment = experiment_from_plain({"system": name, **small})
    train, dev = (
        extract(opened.partition(part), experiment.front_end, experiment.audio, root=stores)
        for part in ("train", "dev")
    )
    metrics = []
    state = fit(experiment, train, dev, lambda measured, state: metrics.append(measured))
    assert [each["epoch"] for each in metrics] == [1, 2]
    scores = score_store(best_detector(state), dev)
    assert np.isfinite(scores).all()
    assert eer(scores[dev.labels == 1], scores[dev.labels == 0])[0] == pytest.approx(metrics[-1]["objective"], abs=1e-3)

"""Training of nothing but the classifier, and embeddings of whole utterances."""

import numpy as np
import pytest
import torch

from core.classifiers import CLASSIFIERS
from core.detector import embed_store, score_store
from core.errors import InputError
from core.evaluation.metrics import eer
from core.training.fit import best_detector
from tests.core.training.test_fit import run, stores  # noqa: F401


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_a_classifier_alone_judges_features(stores, classifier):  # noqa: F811
    changes = {"mode": "classifier", "backbone": "identity", "epochs": 1, "input": {"n_frames": 8}}
    metrics, state = run(stores, classifier=classifier, **changes)
    assert len(metrics) == 1
    assert metrics[0]["objective"] < 0.45
    scores = score_store(best_detector(state), stores["dev"])
    labels = stores["dev"].labels
    assert eer(scores[labels == 1], scores[labels == 0])[0] == pytest.approx(metrics[0]["dev_eer"], abs=0.02)


def test_a_network_without_parameters_cannot_be_trained(stores):  # noqa: F811
    with pytest.raises(InputError, match="identity has no parameters to train in siamese mode"):
        run(stores, backbone="identity")


@pytest.mark.parametrize("classifier", ["svm", "logistic_regression"])
def test_statistics_of_whole_utterances_are_judged_without_a_network(stores, classifier):  # noqa: F811
    options = {"n_frames": 32, "score_windows": "whole"}
    changes = {"mode": "classifier", "backbone": "statistics", "epochs": 1, "input": options}
    metrics, state = run(stores, classifier=classifier, **changes)
    assert metrics[0]["dev_eer"] == 0
    detector, dev = best_detector(state), stores["dev"]
    assert len(set(dev.n_frames)) > 5
    frames = [torch.from_numpy(dev.frames(index).copy()).double() for index in range(len(dev))]
    expected = torch.stack([torch.cat([x.mean(dim=0), x.std(dim=0, correction=0)]) for x in frames]).float()
    torch.testing.assert_close(embed_store(detector, dev, batch_size=3), expected, atol=1e-4, rtol=1e-4)
    alone = [detector.score_utterance(x.half().T) for x in frames]
    np.testing.assert_allclose(alone, score_store(detector, dev), atol=1e-4)


def test_whole_utterances_are_scored_after_training_on_crops(stores):  # noqa: F811
    options = {"n_frames": 16, "score_windows": "whole"}
    _, state = run(stores, mode="original", backbone="statistics_pooling", epochs=1, input=options)
    detector, dev = best_detector(state), stores["dev"]
    features = torch.from_numpy(dev.frames(3).T.copy())
    expected = detector.eval()(features[None]).item()
    assert score_store(detector, dev)[3] == pytest.approx(expected, abs=1e-5)
    assert features.shape[1] != 16
    with pytest.raises(InputError, match="backbone lcnn has inputs of one length; valid: resnet18"):
        run(stores, backbone="lcnn", input=options)

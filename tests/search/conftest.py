import pytest

from tests.speech import make_corpus

SPACE = """\
name: tiny
corpus: {layout: asvspoof2019_la, path: CORPUS}
experiment:
  front_end: {name: lfcc, deltas: false}
  input: {n_frames: 32}
  backbone: {name: {choice: [senet18, lcnn]}, embedding_dim: 16, width: {value: 4, when: {backbone.name: senet18}}}
  loss: {margin: {uniform: [0.5, 3]}}
  classifier: {name: mlp, hidden: 8, epochs: 3}
  lr_schedule: {name: constant, lr: 2e-3}
  batch_size: 8
  epochs: 4
search:
  sampler: {name: tpe, n_startup_trials: 2}
  scheduler: {name: asha, grace_epochs: 1, reduction_factor: 2}
  trials: 6
  concurrency: 2
  storage: STORAGE
"""


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus") / "LA")


@pytest.fixture
def space_file(corpus, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(SPACE.replace("CORPUS", str(corpus)).replace("STORAGE", str(tmp_path / "storage")))
    return path

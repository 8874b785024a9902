import pytest

from core import table
from core.config import experiment_from_plain, experiment_to_plain
from core.errors import InputError
from core.features import FRONT_ENDS
from core.systems import SYSTEMS, laid_over


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

"""Tables of the detectors that a run hands over."""

import json

import pytest

from core.errors import InputError
from search.report.detector_tables import (
    bundles_of,
    bundles_table,
    confirmation_data,
    confirmation_table,
    exported_seeds,
    seeds_table,
)
from search.report.scoring import Result
from search.runs.confirmed import ConfirmedConfiguration
from search.runs.journal import TrialRecord
from search.runs.run import Run

CONFIRMATION = {"seed_index": 1, "mean": 0.22}


def trained(number, objective, trial_values=None):
    return TrialRecord(number, trial_values or {"loss.margin": 2.0}, "finished", 4, objective)


@pytest.fixture
def configurations():
    better = (trained(3001, 0.20), trained(3000, 0.22), trained(3002, 0.24))
    return [
        ConfirmedConfiguration(trained(3, 0.15), better, 0),
        ConfirmedConfiguration(trained(1, 0.12), (trained(1000, 0.30), trained(1002, 0.34)), 1),
    ]


@pytest.fixture
def run(tmp_path):
    for folder, created, trial, metrics in (
        ("export-002", "2026-02-02", 3, {"dev": {"eer": 0.22, "eer_interval": [0.18, 0.27]}}),
        ("export", "2026-01-01", 1, {"dev": {"eer": 0.1}, "eval": {"eer": 0.2258, "look": 2}}),
    ):
        provenance = {"created": created, "trial": trial}
        if trial == 3:
            provenance["confirmation"] = CONFIRMATION
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps({"metrics": metrics, "provenance": provenance}))
    return Run(tmp_path)


def test_every_bundle_of_the_run_has_a_row_with_its_own_figures(run):
    assert bundles_table(bundles_of(run)).rows == (
        ("export", "1", "of the search", "10.00", "22.58", "2"),
        ("export-002", "3", "fresh seed 1", "22.00 (18.0 to 27.0)", "-", "-"),
    )
    assert exported_seeds(bundles_of(run)) == {3: 1}


def test_a_damaged_bundle_is_named(run):
    (run.path / "export" / "config.json").write_text("{")
    with pytest.raises(InputError, match="config\\.json: the bundle cannot be read"):
        bundles_of(run)


def test_a_retrained_configuration_has_mean_interval_worst_seed_and_the_exported_one(configurations):
    table = confirmation_table(configurations, "dev_eer", {3: 1}, comparable=True)
    # Student's t for two degrees of freedom is 4.303; the deviation of 20, 22, 24 is 2.
    interval = "17.03 % to 26.97 %"
    assert table.rows[0] == ("3", "15.00 %", "22.00 %", interval, "3", "24.00 %", "seed 1", "loss.margin=2")
    assert table.rows[1][3:7] == ("-", "2 (1 failed)", "34.00 %", "-")
    assert "selection bias: search 12.00 %, mean of fresh seeds 32.00 %" in table.title
    assert "bias" not in confirmation_table(configurations, "dev_eer", {}, comparable=False).title


def test_the_seeds_have_figures_on_every_partition_that_was_scored(configurations):
    rates = {3000: 0.3, 3001: 0.2, 3002: 0.4, 1000: 0.1, 1002: 0.3}
    results = {
        number: Result(trained(number, 0.2), 4, {}, {"dev": {"eer": 0.2}, "eval": {"eer": rate}})
        for number, rate in rates.items()
    }
    table = seeds_table(configurations, results, ("dev", "eval"))
    assert table.rows[0][5:] == ("30.00", "5.2 to 54.8", "40.00")
    assert table.rows[1] == ("1", "2", "20.00", "-", "20.00", "20.00", "-", "30.00")
    data = confirmation_data(configurations[0], results)
    assert [seed["index"] for seed in data["seeds"]] == [1, 0, 2]
    assert data["seeds"][0]["metrics"]["eval"]["eer"] == 0.2

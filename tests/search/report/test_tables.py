import csv
import dataclasses
import io

import numpy as np
import pytest

from core.evaluation import metrics, tandem
from core.evaluation.measure import measure
from core.evaluation.score_file import CmScores
from core.systems import SYSTEMS
from search.report.paper import PAPER
from search.report.scoring import Result
from search.report.tables import (
    as_csv,
    as_markdown,
    as_text,
    attacks_table,
    comparison_table,
    paper_table,
    results_of_cell,
    results_table,
)
from search.runs.journal import TrialRecord
from search.space.configurations import all_configurations
from search.space.reader import read_space
from tests.search.space.test_space import SPACES


def scores(seed=0, shift=1.5):
    random = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [40, 60])
    attacks = np.where(labels == 1, "-", np.where(np.arange(100) < 70, "A01", "A02"))
    values = random.normal(size=100) + shift * labels
    return CmScores(np.array([f"u{i}" for i in range(100)]), values, attack_ids=attacks, labels=labels)


def result(number, values, *, seed=0, asv=None):
    found = {"dev": scores(seed), "eval": scores(seed + 50, 0.7)}
    record = TrialRecord(number, values, "finished", 5, 0.1, {}, 61.0)
    return Result(record, 5, found, {name: measure(each, asv) for name, each in found.items()})


def test_measures_are_those_of_the_metrics():
    found = scores()
    bona_fide, spoof = found.scores[:40], found.scores[40:]
    measured = measure(found, tandem.LA19_ASV["dev"])
    assert measured["eer"] == metrics.eer(bona_fide, spoof)[0]
    assert measured["eer_per_attack"]["A02"] == metrics.eer(bona_fide, found.scores[70:])[0]
    assert measured["min_tdcf_2019"] == tandem.min_tdcf_2019(bona_fide, spoof, tandem.LA19_ASV["dev"])
    assert (measured["n_bona_fide"], measured["n_spoof"]) == (40, 60)
    assert "min_tdcf_2021" not in measure(found)


def test_a_trial_has_a_row_with_every_partition():
    table = results_table([result(3, {"loss.margin": 2.0}, asv=tandem.LA19_ASV["dev"])], ("dev", "eval"))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["trial"] == "3"
    assert row["dev EER %"] == f"{100 * measure(scores())['eer']:.3f}"
    assert row["time"] == "1:01"
    assert row["configuration"] == "loss.margin=2"
    assert {"dev min t-DCF 2019", "eval min t-DCF 2021"} <= set(table.columns)


def test_attacks_stand_in_columns():
    table = attacks_table([result(0, {})], "eval")
    assert table.columns == ("trial", "A01", "A02", "all")


def test_the_papers_layout_has_ours_beside_theirs_and_averages_seeds():
    found = [result(k, {"loss.margin": margin, "seed": k}, seed=k) for k, margin in enumerate([2.0, 2.0, 0.5])]
    table = paper_table(PAPER["paper-table-3"], found)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    mean = np.mean([each.measured["eval"]["eer"] for each in found[:2]])
    assert rows["Siamese-SENet34_margin_2"]["Eval"] == f"{100 * mean:.3f}"
    assert rows["Siamese-SENet34_margin_2"]["Eval (paper)"] == "1.16"
    assert rows["Siamese-SENet34_margin_2"]["trials"] == "2"
    assert rows["Siamese-SENet34_margin_1"]["Dev"] == "-"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_grid_of_a_papers_table_fills_each_of_its_cells_once(number):
    path = next(each for each in SPACES if each.name == f"table{number}.yaml")
    space = read_space(path)
    table = PAPER[space.name]
    found = [result(k, values) for k, values in enumerate(all_configurations(space))]
    cells = [cell for row in table.rows.values() for cell in row]
    assert [len(results_of_cell(cell, found)) for cell in cells] == [1] * len(found)
    assert len(found) == space.search.trials


def test_table_1_has_every_system():
    later = {"aasist", "rawnet2"}  # than the paper
    assert {cells[0].values["system"] for cells in PAPER["paper-table-1"].rows.values()} == set(SYSTEMS) - later


def test_forms_hold_the_same_cells():
    table = results_table([result(0, {"a": "x|y"}), result(1, {"a": 'say "so", twice'})], ("dev",))
    read = list(csv.reader(io.StringIO(as_csv(table))))
    assert tuple(read[0]) == table.columns
    assert [tuple(row) for row in read[1:]] == list(table.rows)
    lines = as_markdown(table).splitlines()
    assert lines[0] == f"## {table.title}"
    assert len({line.replace("\\|", "").count("|") for line in lines[2:]}) == 1
    text = as_text(table).splitlines()
    assert text[1].index("configuration") == text[2].index("a=x|y")


def test_intervals_stand_beside_the_rates():
    found = result(0, {})
    speakers = np.array([f"s{number % 7}" for number in range(100)])
    spoken = dataclasses.replace(found.scores["dev"], speaker_ids=speakers)
    known = dataclasses.replace(found, measured={**found.measured, "dev": measure(spoken)})
    assert "dev 95 % interval over speakers (number)" not in results_table([found], ("dev",)).columns
    table = results_table([known, found], ("dev", "eval"))
    row = dict(zip(table.columns, table.rows[0], strict=True))
    low, high = map(float, row["dev 95 % interval"].split(" to "))
    assert low <= float(row["dev EER %"]) <= high
    assert row["dev 95 % interval over speakers (number)"] != row["dev 95 % interval"]
    assert table.rows[1][table.columns.index("dev 95 % interval over speakers (number)")] == "-"


def test_speakers_count_only_where_all_are_known():
    unknown = np.array(["-"] + ["s1"] * 50 + ["s2"] * 49)
    some = measure(dataclasses.replace(scores(), speaker_ids=unknown))
    assert some["no_interval_speakers"] == "the speakers of 1 of 100 utterances are unknown"
    one = measure(dataclasses.replace(scores(), speaker_ids=np.array(["s"] * 100)))
    assert one["no_interval_speakers"].startswith("the bona fide utterances have 1 speaker; ")
    assert one["n_speakers"] == 1
    assert not any("speakers" in key for key in measure(scores()))
    assert not {"eer_interval_speakers"} & (set(some) | set(one))


def test_the_first_is_compared_with_the_others_utterance_by_utterance():
    first, same, worse = result(0, {}), result(1, {}), result(2, {}, seed=9)
    backwards = same.scores["dev"]
    turned = CmScores(
        backwards.utterance_ids[::-1], backwards.scores[::-1], backwards.attack_ids[::-1], backwards.labels[::-1]
    )
    same = dataclasses.replace(same, scores={**same.scores, "dev": turned})
    table = comparison_table([first, same, worse], "dev")
    assert table.rows[0] == ("1", "+0.00", "+0.00 to +0.00", "1.000")
    difference = first.measured["dev"]["eer"] - worse.measured["dev"]["eer"]
    assert table.rows[1][1] == f"{100 * difference:+.2f}"

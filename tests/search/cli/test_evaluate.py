"""`spooftune evaluate`: signs, detection costs, calibration, ASV scores, attacks and conditions."""

import dataclasses
import json

import numpy as np
import pytest

from core.evaluation.calibration import fit_calibration
from core.evaluation.detection_cost import ASVSPOOF5, DetectionCosts, act_dcf, cllr, min_dcf
from core.evaluation.measure import measure, swapped_sign
from core.evaluation.score_file import CmScores, write_cm_scores
from core.evaluation.spoof_aware import a_dcf, t_eer
from search.cli.main import main


def cm_scores(seed=0, *, sign=1, attacks=("A07", "A08")):
    draw = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [60, 90])
    values = sign * (draw.normal(size=150) + 2 * labels) * 3
    names = np.where(labels == 1, "-", np.array(attacks)[np.arange(150) % len(attacks)])
    return CmScores(np.array([f"u{number}" for number in range(150)]), values, names, labels)


@pytest.fixture
def files(tmp_path):
    """Score files of one system: dev, eval, eval with the sign turned; ASV scores of eval and of dev; joint scores."""
    write_cm_scores(tmp_path / "dev.txt", cm_scores(1, attacks=("A01", "A02")))
    write_cm_scores(tmp_path / "eval.txt", cm_scores(2))
    write_cm_scores(tmp_path / "turned.txt", cm_scores(2, sign=-1))
    draw = np.random.default_rng(3)
    asv = {"target": draw.normal(3, 1, 40), "nontarget": draw.normal(0, 1, 40), "spoof": draw.normal(2, 1, 40)}
    for name, attacks in (("asv-eval.txt", ("A07", "A08")), ("asv-dev.txt", ("A01", "A02"))):
        lines = [
            f"{attacks[number % 2] if key == 'spoof' else 'bonafide'} {key} {float(score)!r}\n"
            for key, scores in asv.items()
            for number, score in enumerate(scores)
        ]
        (tmp_path / name).write_text("".join(lines))
    joint = [f"s1 u{key}{n} {float(score)!r} {key}\n" for key, scores in asv.items() for n, score in enumerate(scores)]
    (tmp_path / "joint.txt").write_text("".join(joint))
    return tmp_path, asv


def evaluated(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    output = capsys.readouterr()
    return json.loads(output.out), output.err


def test_turned_signs_are_said_and_can_be_turned_back(files, capsys):
    folder, _ = files
    right, silence = evaluated(capsys, folder / "eval.txt")
    wrong, said = evaluated(capsys, folder / "turned.txt")
    assert silence == ""
    assert wrong["auc"] == pytest.approx(1 - right["auc"])
    assert f"spooftune: warning: {folder / 'turned.txt'}: AUC {wrong['auc']:.4f} is below 0.5" in said
    assert "--negate turns it" in said
    assert wrong["warnings"] == [said.strip().removeprefix("spooftune: warning: ")]
    mended, silence = evaluated(capsys, folder / "turned.txt", "--negate")
    assert (mended["eer"], mended["warnings"], silence) == (right["eer"], [], "")
    assert "leave out --negate" in evaluated(capsys, folder / "eval.txt", "--negate")[1]


def test_the_other_systems_sign_is_said_too(files, capsys):
    folder, _ = files
    compared, said = evaluated(capsys, folder / "eval.txt", "--compare", folder / "turned.txt")
    assert f"{folder / 'turned.txt'}: AUC" in said
    assert "--negate-other turns it" in said
    assert compared["other_eer"] > 0.5
    mended, said = evaluated(capsys, folder / "eval.txt", "--compare", folder / "turned.txt", "--negate-other")
    assert (mended["other_eer"], mended["difference"]["eer"], said) == (mended["eer"], 0, "")


def test_costs_are_those_of_asvspoof_5_and_can_be_changed(files, capsys):
    folder, _ = files
    scores = cm_scores(2)
    by_default, _ = evaluated(capsys, folder / "eval.txt")
    assert by_default["min_dcf"] == min_dcf(scores.bona_fide, scores.spoof)
    assert by_default["act_dcf"] == act_dcf(scores.bona_fide, scores.spoof)
    assert by_default["cllr"] == cllr(scores.bona_fide, scores.spoof)
    assert by_default["dcf_costs"] == dataclasses.asdict(ASVSPOOF5)
    costs = DetectionCosts(p_spoof=0.3, miss=2, false_alarm=5)
    options = ["--p-spoof", "0.3", "--cost-miss", "2", "--cost-false-alarm", "5"]
    changed, _ = evaluated(capsys, folder / "eval.txt", *options)
    assert changed["min_dcf"] == min_dcf(scores.bona_fide, scores.spoof, costs) != by_default["min_dcf"]
    assert changed["by_attack"]["A07"]["min_dcf"] == pytest.approx(
        min_dcf(scores.bona_fide, scores.scores[scores.attack_ids == "A07"], costs)
    )
    assert main(["evaluate", str(folder / "eval.txt"), "--p-spoof", "1"]) == 2
    assert "p_spoof is 1.0; it must be above 0 and below 1" in capsys.readouterr().err


def test_scores_are_calibrated_on_dev(files, capsys):
    folder, _ = files
    dev, scores = cm_scores(1), cm_scores(2)
    calibration = fit_calibration(dev.bona_fide, dev.spoof)
    raw, _ = evaluated(capsys, folder / "eval.txt")
    found, _ = evaluated(capsys, folder / "eval.txt", "--calibrate-on", folder / "dev.txt")
    assert found["cllr"] == cllr(calibration.llr(scores.bona_fide), calibration.llr(scores.spoof))
    assert found["min_cllr"] == raw["min_cllr"] < found["cllr"] < raw["cllr"]
    assert (found["eer"], found["min_dcf"]) == (raw["eer"], raw["min_dcf"])
    assert found["calibration"]["slope"] == calibration.slope
    assert main(["evaluate", str(folder / "eval.txt"), "--calibrate-on", str(folder / "turned.txt")]) == 2
    assert f"{folder / 'turned.txt'}: no calibration: the mean score of bona fide speech is" in capsys.readouterr().err


def test_asv_scores_give_t_dcf_and_t_eer_and_joint_scores_a_dcf(files, capsys):
    folder, asv = files
    scores = cm_scores(2)
    options = ["--asv-scores", folder / "asv-eval.txt", "--joint-scores", folder / "joint.txt"]
    found, _ = evaluated(capsys, folder / "eval.txt", *options)
    assert found["t_eer"] == t_eer(scores.bona_fide, scores.spoof, *asv.values())
    assert found["a_dcf"] == a_dcf(*asv.values())
    assert 0 < found["min_tdcf_2019"] < 1
    assert main(["evaluate", str(folder / "eval.txt"), *map(str, options)]) == 0
    shown = capsys.readouterr().out
    assert f"t-EER          {100 * found['t_eer']:.9f} %" in shown
    assert f"a-DCF          {found['a_dcf']:.9f}" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--asv-scores", "asv-dev.txt"], "the ASV has A01, A02 and lacks A07, A08"),
        (["--asv-rates", "la19-dev"], "has the attack A07; ASVspoof 2019 LA's dev has A01 to A06"),
        (["--asv-rates", "asvspoof5-eval"], "has the attack A07; ASVspoof 5's eval has A17 to A32"),
    ],
)
def test_the_asv_of_another_partition_is_refused(files, capsys, options, words, monkeypatch):
    folder, _ = files
    monkeypatch.chdir(folder)
    assert main(["evaluate", "eval.txt", *options]) == 2
    assert words in capsys.readouterr().err


def test_attacks_and_conditions_have_all_metrics_of_their_own():
    scores = cm_scores(2)
    codecs = np.where(np.arange(150) % 3 == 0, "alaw", np.where(scores.labels == 1, "none", "-"))
    measured = measure(dataclasses.replace(scores, conditions={"codec": codecs}))
    alone = measured["by_condition"]["codec"]
    assert set(alone) == {"alaw", "none"}
    rows = codecs == "alaw"
    part = CmScores(scores.utterance_ids[rows], scores.scores[rows], scores.attack_ids[rows], scores.labels[rows])
    expected = measure(part)
    assert alone["alaw"] == {key: expected[key] for key in alone["alaw"]}
    assert {"eer", "auc", "min_dcf", "act_dcf", "cllr", "min_cllr"} <= set(alone["alaw"])
    assert alone["none"] == {"n_bona_fide": 40, "n_spoof": 0}
    assert measured["by_attack"]["A08"]["eer"] == measured["eer_per_attack"]["A08"]


def test_the_table_shows_attacks_and_conditions(files, capsys):
    from search.cli.metrics_text import describe_evaluation

    scores = cm_scores(2)
    transmission = {"transmission": np.where(np.arange(150) < 100, "ita_tx", "a_rather_long_name")}
    shown = describe_evaluation({"scores": "s", **measure(dataclasses.replace(scores, conditions=transmission))})
    lines = shown.splitlines()
    assert any(line.startswith("  A07 ") for line in lines)
    heading = next(line for line in lines if line.startswith("by transmission"))
    row = next(line for line in lines if line.startswith("  a_rather_long_name"))
    assert len(heading) == len(row)
    assert row.split()[1:] == ["-", "-", "-", "-", "0", "50"]


@pytest.mark.parametrize(("auc", "said"), [(0.49, True), (0.5, False), (0.9, False)])
def test_only_an_auc_below_one_half_is_a_warning(auc, said):
    assert (swapped_sign({"auc": auc}) is not None) == said

"""The quickstart corpus: its engines, and a tiny corpus from recordings that the test makes."""

import csv
import importlib.util
import json
import os
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.audio import SAMPLE_RATE
from core.corpora.corpus import PARTITIONS
from core.corpora.layouts import CORPORA
from core.demo import Summary, build_demo_corpus, sources
from core.demo.attacks import ATTACKS, chosen_attacks
from core.demo.plan import collected
from core.demo.sources import unpacked
from core.demo.text_to_speech import SENTENCES, sentence
from core.errors import InputError
from core.vocoders.material import Material
from core.vocoders.signal_chain import rms, trimmed
from tests.core.vocoders.voice import voice

pytest.importorskip("pyworld", reason="the extra `demo` is not installed")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six speakers with six recordings each; WAV, one speaker in Vorbis."""
    folder = tmp_path_factory.mktemp("speech")
    for speaker in range(6):
        (folder / f"voice {speaker}").mkdir()
        for number in range(6):
            path = folder / f"voice {speaker}" / f"{number}.{'ogg' if speaker == 0 else 'wav'}"
            soundfile.write(path, voice(10 * speaker + number, f0=110 + 20 * speaker), SAMPLE_RATE)
    return folder


@pytest.fixture(scope="module")
def corpus(speech: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, list[str]]:
    """A corpus of 30 bona fide clips, and the progress that was reported."""
    lines: list[str] = []
    output = tmp_path_factory.mktemp("corpus") / "demo"
    summary = build_demo_corpus(output, speech=speech, n_bona_fide=30, workers=1, report=lines.append)
    return summary, lines


def metadata(summary: Summary) -> list[dict[str, str]]:
    with (summary.path / "metadata.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_layout_is_that_of_asvspoof_2019(corpus: tuple[Summary, list[str]]) -> None:
    summary, _ = corpus
    found = CORPORA["asvspoof2019_la"](summary.path)
    for partition, n_bona_fide in zip(PARTITIONS, (15, 6, 9), strict=True):
        utterances = found.partition(partition)
        counts = summary.counts[partition]
        assert counts["-"] == n_bona_fide
        assert found.counts(partition) == (n_bona_fide, sum(counts.values()) - n_bona_fide)
        assert {utterance.speaker_id for utterance in utterances} == set(summary.speakers[partition])
        for utterance in utterances:
            info = soundfile.info(utterance.path)
            assert (info.samplerate, info.channels, info.format, info.subtype) == (SAMPLE_RATE, 1, "FLAC", "PCM_16")
            assert 1.0 <= info.duration <= 6.0
    listed = {utterance.path for partition in PARTITIONS for utterance in found.partition(partition)}
    assert listed == set(summary.path.rglob("*.flac"))


def test_partitions_share_neither_speakers_nor_recordings(corpus: tuple[Summary, list[str]]) -> None:
    rows = metadata(corpus[0])
    for column in ("speaker_id", "target_recording", "source_recording"):
        places = {(row[column], row["partition"]) for row in rows if row[column]}
        assert len(places) == len({value for value, _ in places}), column


def test_eval_has_attacks_that_training_has_not(corpus: tuple[Summary, list[str]]) -> None:
    counts = corpus[0].counts
    seen, unseen = set(counts["train"]) | set(counts["dev"]), set(counts["eval"]) - {"-"}
    assert len(seen | unseen) - 1 >= 5
    assert len(unseen) >= 2
    assert not seen & unseen
    assert all(int(attack_id[1:]) <= 6 for attack_id in seen - {"-"})
    assert all(int(attack_id[1:]) >= 7 for attack_id in unseen)


def test_utterance_ids_do_not_tell_the_class(corpus: tuple[Summary, list[str]]) -> None:
    keys = [row["key"] for row in sorted(metadata(corpus[0]), key=lambda row: row["utterance_id"])]
    assert sum(first != second for first, second in pairwise(keys)) > 10


def test_durations_and_levels_are_balanced(corpus: tuple[Summary, list[str]]) -> None:
    summary, _ = corpus
    durations: dict[str, list[float]] = {"bonafide": [], "spoof": []}
    for row in metadata(summary):
        path = summary.path / f"ASVspoof2019_LA_{row['partition']}" / "flac" / f"{row['utterance_id']}.flac"
        level = 20 * np.log10(rms(soundfile.read(path)[0]))
        assert -28.2 < level < -23.8
        durations[row["key"]].append(float(row["duration_s"]))
    assert np.median(durations["spoof"]) == pytest.approx(np.median(durations["bonafide"]), rel=0.1)


def test_texts_name_sources_licences_and_attacks(corpus: tuple[Summary, list[str]], speech: Path) -> None:
    summary, lines = corpus
    readme = (summary.path / "README.md").read_text(encoding="utf-8")
    assert str(speech) in readme
    assert "seed 0" in readme
    assert all(attack_id in readme for attack_id in summary.engines)
    assert any(line.startswith("source: ") for line in lines)


def test_same_seed_gives_the_same_bytes_in_other_processes(
    corpus: tuple[Summary, list[str]], speech: Path, tmp_path: Path
) -> None:
    first = corpus[0].path
    leftover = tmp_path / ".again.building"
    leftover.mkdir()
    (leftover / "README.md").write_text("of a run that was killed")
    second = build_demo_corpus(tmp_path / "again", speech=speech, n_bona_fide=30, workers=2).path
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert [str(name) for name in files if (first / name).read_bytes() != (second / name).read_bytes()] == []
    assert not leftover.exists()


def test_an_existing_corpus_is_kept(corpus: tuple[Summary, list[str]], speech: Path) -> None:
    summary, _ = corpus
    again = build_demo_corpus(summary.path, speech=speech, n_bona_fide=30)
    assert again == summary
    with pytest.raises(InputError, match="seed 0 instead of 1"):
        build_demo_corpus(summary.path, speech=speech, n_bona_fide=30, seed=1)


@pytest.mark.parametrize("manifest", [None, "{", "[]", json.dumps({"request": {}})])
def test_a_folder_with_something_else_is_refused(manifest: str | None, speech: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("irreplaceable")
    if manifest is not None:
        (tmp_path / "demo.json").write_text(manifest)
    with pytest.raises(InputError, match="no complete quickstart corpus"):
        build_demo_corpus(tmp_path, speech=speech)
    assert (tmp_path / "thesis.tex").read_text() == "irreplaceable"


def test_too_few_recordings_are_refused(tmp_path: Path) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for number in range(5):
        soundfile.write(few / f"{number}.wav", voice(number), SAMPLE_RATE)
    with pytest.raises(InputError, match=r"--speech .*few: 5 usable clips .* at least 30"):
        build_demo_corpus(tmp_path / "out", speech=few)
    with pytest.raises(InputError, match="no such folder"):
        build_demo_corpus(tmp_path / "out", speech=tmp_path / "absent")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / ".out.building").exists()


def test_recordings_without_speaker_folders_are_dealt_to_pseudo_speakers(tmp_path: Path) -> None:
    for number in range(12):
        soundfile.write(tmp_path / f"{number}.wav", voice(number, duration_s=0.5), SAMPLE_RATE)
    lines: list[str] = []
    recordings, _ = sources.own_recordings(tmp_path, 0, lines.append)
    partition_of = {recording.speaker_id: recording.partition for recording in recordings}
    assert len(recordings) == 12
    assert len(partition_of) == 6
    assert {(each.speaker_id, each.partition) for each in recordings} == set(partition_of.items())
    assert set(partition_of.values()) == set(PARTITIONS)
    assert "may share a speaker" in lines[0]


def test_files_that_are_no_audio_or_there_twice_are_left_out(tmp_path: Path) -> None:
    for number in range(9):
        soundfile.write(tmp_path / f"{number}.wav", voice(number), SAMPLE_RATE)
    shutil.copy(tmp_path / "0.wav", tmp_path / "copy of 0.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFF, but nothing follows")
    recordings, _ = sources.own_recordings(tmp_path, 0, lambda message: None)
    lines: list[str] = []
    (tmp_path / "work").mkdir()
    found = collected(recordings, tmp_path / "work", n_bona_fide=1000, seed=0, report=lines.append)
    assert sum(map(len, found.values())) == 9
    assert len(lines) == 1
    assert "broken.wav" in lines[0]


def test_without_apt_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="--speech DIR"):
        build_demo_corpus(tmp_path / "out")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
@pytest.mark.parametrize("known", ["to the system's lists", "to fresh lists", "nowhere"])
def test_packages_are_fetched_without_touching_the_system(
    known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, cache, programs = tmp_path / "content", tmp_path / "cache", tmp_path / "bin"
    for folder in (content / "DEBIAN", content / "usr", cache, programs):
        folder.mkdir(parents=True)
    control = "Package: voices\nVersion: 1.2-3\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: voices\n"
    (content / "DEBIAN/control").write_text(control)
    (content / "usr/hello").write_text("hello")
    archive = tmp_path / "voices_1.2-3_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(content), str(archive)], check=True, capture_output=True)
    gives = {"to the system's lists": "*", "to fresh lists": "*State::Lists*download*", "nowhere": "never"}[known]
    script = (
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\ncase "$*" in *update*) exit 100 ;; {gives}) cp {archive} . ;;\n'
    )
    (programs / "apt-get").write_text(script + '*) echo "E: Unable to locate package voices" >&2; exit 100 ;; esac\n')
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    if known == "nowhere":
        with pytest.raises(InputError, match=r"Unable to locate package voices.*--speech DIR"):
            unpacked(["voices"], cache, lambda message: None)
        return
    folder = unpacked(["voices"], cache, lambda message: None)["voices"]
    assert folder.name == "voices_1.2-3"
    assert (folder / "usr/hello").read_text() == "hello"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert all("Dir::Cache=" + str(cache) in call for call in calls)
    unpacked(["voices"], cache, lambda message: None)
    assert (tmp_path / "calls").read_text().splitlines() == calls  # the second time nothing is fetched


@pytest.mark.parametrize("attack_id", ATTACKS)
def test_engines_make_speech_of_about_the_same_length(attack_id: str) -> None:
    attack = ATTACKS[attack_id]
    if importlib.util.find_spec(attack.needs) is None and not shutil.which(attack.needs):
        pytest.skip(f"{attack.needs} is not installed")
    source, target = voice(1), voice(2, f0=190.0)
    material = Material(source, source if attack.kind != "conversion" else target, (voice(3), voice(4)))
    spoofed, again = (attack.engine(material, np.random.default_rng(7)) for _ in range(2))
    assert np.isfinite(spoofed).all()
    assert rms(spoofed) > 1e-3
    if attack.kind == "text":
        assert 0.5 < len(trimmed(spoofed)) / len(source) < 2.5
    else:
        assert len(spoofed) == pytest.approx(len(source), abs=1000)
        correlation = np.corrcoef(spoofed[: len(source)], source[: len(spoofed)])[0, 1]
        assert correlation < 0.99  # the recording itself would be no attack
    np.testing.assert_array_equal(spoofed, again)


@pytest.mark.parametrize("attack_id", [key for key, attack in ATTACKS.items() if attack.kind == "copy"])
def test_engines_stay_finite_on_noise_and_on_silence_between_words(attack_id: str) -> None:
    rng = np.random.default_rng(0)
    gapped = voice(1)
    gapped[8000:12000] = 0.0
    for source in (gapped, 0.1 * rng.standard_normal(20000)):
        spoofed = ATTACKS[attack_id].engine(Material(source, source, (source,)), rng)
        assert np.isfinite(spoofed).all()
        assert np.abs(spoofed).max() < 20


def test_optional_engines_are_made_only_when_asked_for() -> None:
    assert not any(attack.optional for attack in chosen_attacks(()).values())
    with pytest.raises(InputError, match="no optional attack 'A01'; there are A10, A11, A12"):
        chosen_attacks(("A01",))


def test_sentences_fit_the_duration() -> None:
    rng = np.random.default_rng(0)
    for duration_s in (1.2, 3.0, 5.5):
        text, language, speed = sentence(duration_s, rng, tuple(SENTENCES))
        assert text in SENTENCES[language]
        assert 0.5 * duration_s < len(text) / 17.0 / speed < 1.6 * duration_s

"""The prediction loss against an explicit loop; a pretraining that learns, resumes and repeats."""

import dataclasses
import math

import numpy as np
import pytest
import soundfile
import torch

from core.errors import InputError
from core.features.wav2vec import SIZES, load, random_wav2vec, save, wav2vec
from core.pretraining.loss import draw_negatives, offset_of, prediction_loss
from core.pretraining.pretrain import Pretraining, best_network, pretrain

OPTIONS = Pretraining(size="tiny", seconds=0.4, n_steps=3, n_negatives=4, batch_size=4, epochs=3, lr=3e-3)


def tensors(batch=2, channels=5, n_frames=9, n_steps=4, n_negatives=3):
    generator = torch.Generator().manual_seed(0)
    encoded = torch.randn(batch, channels, n_frames, generator=generator, dtype=torch.float64)
    predictions = torch.randn(batch, channels, n_frames, n_steps, generator=generator, dtype=torch.float64)
    return encoded, predictions, draw_negatives(batch, n_frames, n_negatives, generator)


@pytest.mark.parametrize("offset", [1, 3, 7])
def test_the_loss_against_a_loop_over_predictions(offset):
    encoded, predictions, negatives = tensors()
    losses, cross, right = [], [], []
    for utterance in range(2):
        for now in range(9):
            for step in range(4):
                target = now + offset + step
                if target >= 9:
                    continue
                guess = predictions[utterance, :, now, step]
                true = float(guess @ encoded[utterance, :, target])
                false = [float(guess @ encoded[utterance, :, int(j)]) for j in negatives[utterance, target]]
                log_sigmoid = [math.log(1 / (1 + math.exp(x))) for x in false]
                losses.append(-math.log(1 / (1 + math.exp(-true))) - 10.0 * sum(log_sigmoid) / 3)
                cross.append(math.log(sum(math.exp(x) for x in [true, *false])) - true)
                right.append(true > max(false))
    found = prediction_loss(encoded, predictions, negatives, offset=offset, negative_weight=10.0)
    assert found.loss.item() == pytest.approx(np.mean(losses))
    assert found.info_nce.item() == pytest.approx(np.mean(cross))
    assert found.accuracy.item() == pytest.approx(np.mean(right))


def test_chance_is_what_predictions_of_nothing_have():
    encoded, predictions, negatives = tensors()
    found = prediction_loss(encoded, 0 * predictions, negatives, offset=1, negative_weight=10.0)
    assert found.loss.item() == pytest.approx(11 * math.log(2))
    assert found.info_nce.item() == pytest.approx(math.log(4))


def test_negatives_are_other_frames_each_equally_often():
    negatives = draw_negatives(50, 6, 40, torch.Generator().manual_seed(1))
    assert not (negatives == torch.arange(6)[None, :, None]).any()
    counts = torch.bincount(negatives[:, 2].flatten(), minlength=6).double()
    assert counts[2] == 0
    np.testing.assert_allclose(counts[[0, 1, 3, 4, 5]] / 2000, 0.2, atol=0.04)


def test_targets_begin_where_nothing_is_shared():
    network = wav2vec(random_init=True, size="large")
    assert offset_of(network) == 3  # 465 samples every 160


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    time = np.arange(16000) / 16000
    for number in range(10):
        tone = np.sin(2 * np.pi * (200 + 40 * number) * time * (1 + 0.3 * np.sin(2 * np.pi * 3 * time)))
        noise = np.random.default_rng(number).normal(size=16000)
        soundfile.write(folder / f"{number}.wav", 0.3 * tone + 0.01 * noise, 16000)
    soundfile.write(folder / "short.wav", np.zeros(100), 16000)
    return sorted(folder.glob("*.wav"))


def run(speech, options=OPTIONS, *, resume=None, stop_after=None):
    torch.set_num_threads(1)
    reported, states = [], []

    def report(metrics, state):
        reported.append(metrics)
        states.append({**state, "network": {k: v.clone() for k, v in state["network"].items()}})
        if metrics["epoch"] == stop_after:
            raise KeyboardInterrupt

    try:
        pretrain(options, speech, report, resume=resume)
    except KeyboardInterrupt:
        assert stop_after
    return reported, states[-1]


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_minimising_the_loss_learns_to_find_the_future_frames():
    torch.set_num_threads(1)
    network = random_wav2vec(SIZES["tiny"](prediction_steps=2), seed=0).requires_grad_(True)
    network.prediction_head.weight.data.mul_(0.02)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    waveform = 0.1 * torch.randn(2, 8000, generator=generator)
    found = []
    for _ in range(400):
        encoded = network.encode(waveform)
        predictions = network.predictions(network.contextualize(encoded))
        negatives = draw_negatives(2, encoded.shape[2], 4, generator)
        found.append(prediction_loss(encoded, predictions, negatives, offset=3, negative_weight=10.0))
        optimizer.zero_grad()
        found[-1].loss.backward()
        optimizer.step()
    assert found[-1].info_nce < 0.8 * math.log(5)  # chance is log 5
    assert found[-1].accuracy > 0.4


def test_the_seed_repeats_every_bit_and_memory_plays_no_part(speech):
    _, first = run(speech)
    _, second = run(speech, Pretraining(**{**first["options"], "cache_mb": 0}))
    assert same(first["network"], second["network"])
    _, other = run(speech, Pretraining(**{**first["options"], "seed": 1}))
    assert not same(first["network"], other["network"])


def test_an_interrupted_pretraining_goes_on_to_the_same_bits(speech):
    _, whole = run(speech)
    _, half = run(speech, stop_after=1)
    reported, resumed = run(speech, resume=half)
    assert [each["epoch"] for each in reported] == [2, 3]
    assert same(whole["network"], resumed["network"])
    assert same(whole["best"]["network"], resumed["best"]["network"])


def test_a_checkpoint_of_an_earlier_version_goes_on_to_the_same_bits(speech):
    _, whole = run(speech)
    _, half = run(speech, stop_after=1)
    best = {name: value for name, value in half["best"].items() if name != "rank"}
    _, resumed = run(speech, resume={**half, "best": {**best, "loss": best["metrics"]["held_out_loss"]}})
    assert resumed["best"]["epoch"] == whole["best"]["epoch"]
    assert same(whole["best"]["network"], resumed["best"]["network"])


def test_other_options_cannot_be_resumed(speech):
    _, half = run(speech, stop_after=1)
    with pytest.raises(InputError, match="belongs to other options"):
        run(speech, Pretraining(**{**half["options"], "lr": 1e-4}), resume=half)


def test_the_front_end_gives_the_networks_features(speech, tmp_path):
    _, state = run(speech)
    network = best_network(state)
    save(network, tmp_path / "w.safetensors")
    front_end = wav2vec(checkpoint=str(tmp_path / "w.safetensors"))
    waveform = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(front_end(waveform), network.contextualize(network.encode(waveform)))
    assert load(tmp_path / "w.safetensors").config == SIZES["tiny"](prediction_steps=3)


def test_speech_that_is_too_short_or_too_little_is_refused(speech):
    with pytest.raises(InputError, match=r"0 of 11 recordings have 5\.0 s of speech"):
        run(speech, Pretraining(size="tiny", seconds=5.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0, "lr": -1.0}, r"n_steps is 0[^\n]*\nlr is -1.0"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"seconds": 0.05}, "seconds is 0.05; 12 steps ahead need at least 0.18"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Pretraining(**options)


def test_all_bad_recordings_are_named_or_skipped(tmp_path):
    files = []
    for number in range(6):
        files.append(tmp_path / f"{number}.wav")
        soundfile.write(files[-1], np.random.default_rng(number).normal(size=16000) * 0.1, 16000)
    for path in (files[1], files[4]):
        path.write_bytes(b"no audio")
    with pytest.raises(InputError) as refused:
        pretrain(OPTIONS, files, lambda metrics, state: None)
    assert [problem.split(":")[0].rsplit("/", 1)[-1] for problem in refused.value.problems[:2]] == ["1.wav", "4.wav"]
    assert "2 recordings of 6 cannot be used; pretraining.on_bad_audio: skip" in refused.value.problems[2]
    options = dataclasses.replace(OPTIONS, on_bad_audio="skip", epochs=1)
    assert pretrain(options, files, lambda metrics, state: None)["epoch"] == 1

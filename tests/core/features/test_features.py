"""Every front end keeps its promises; the spectral ones agree with NumPy and SciPy."""

import math

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
import torchaudio.functional as audio_functional

from core import audio, table
from core.audio import AudioOptions
from core.corpora.layouts import CORPORA
from core.errors import InputError
from core.features import FRONT_ENDS
from core.features.deltas import with_deltas
from core.features.spectral import lfcc, logspec, mfcc
from core.stores.extraction import extract
from tests.core.features.pretrained.models import saved_distillmos, saved_resemblyzer
from tests.core.features.pretrained.whisper_models import saved_whisper
from tests.core.features.test_transformer import saved_model
from tests.core.features.test_xvector import saved_network
from tests.speech import make_corpus

SPECTRAL = {"lfcc": lfcc, "mfcc": mfcc, "logspec": logspec}
ONE_FRAME = ("xvector", "resemblyzer")  # of a whole utterance


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """Options of the rows that have no weights of their own; a row that is missing here is built from its defaults."""
    return {
        "wav2vec": {"random_init": True, "size": "tiny"},
        "transformers": {"model": str(saved_model("wav2vec2", tmp_path_factory.mktemp("wav2vec2")))},
        "distillmos": {"weights": str(saved_distillmos(tmp_path_factory.mktemp("distillmos")))},
        "whisper": {"model": str(saved_whisper(tmp_path_factory.mktemp("whisper")))},
        "resemblyzer": {"weights": str(saved_resemblyzer(tmp_path_factory.mktemp("resemblyzer")))},
        "xvector": {"weights": str(saved_network(tmp_path_factory.mktemp("xvector")))},
    }


@pytest.fixture(params=FRONT_ENDS)
def block(request, options):
    return table.Block(request.param, options.get(request.param, {}))


@pytest.fixture
def front_end(block):
    return table.build("front_end", FRONT_ENDS, block)


def noise(batch: int, time: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(seed))


def test_shape_is_as_announced(front_end, block):
    for time in (4000, front_end.min_samples + front_end.hop_length - 1, front_end.min_samples + front_end.hop_length):
        features = front_end(noise(2, time))
        n_hops = (time - front_end.min_samples) / front_end.hop_length
        whole = math.ceil(n_hops) if block.name in ("lfcc", "mfcc") else math.floor(n_hops)
        n_frames = 1 if block.name in ONE_FRAME else 1 + whole
        assert features.shape == (2, front_end.n_features, n_frames)
        assert features.dtype == torch.float32
        assert torch.isfinite(features).all()


def test_shortest_waveform_gives_one_frame(front_end):
    assert front_end(noise(1, front_end.min_samples)).shape == (1, front_end.n_features, 1)
    with pytest.raises(RuntimeError):
        front_end(noise(1, front_end.min_samples - 1))


def test_silence_stays_finite(front_end):
    features = front_end(torch.zeros(1, 4000))
    assert torch.isfinite(features.half()).all()  # the store holds half precision


def test_batch_mates_do_not_matter(front_end):
    waveforms = noise(3, 4000) * torch.tensor([[1.0], [5.0], [1e-3]])  # so that a floor shared by the batch would show
    batched = front_end(waveforms)
    for index in range(3):
        torch.testing.assert_close(front_end(waveforms[index : index + 1])[0], batched[index], rtol=1e-4, atol=1e-4)


def test_is_frozen_and_says_what_it_is(front_end):
    assert not front_end.training
    assert not front_end(noise(1, 4000)).requires_grad
    assert front_end.version >= 1
    assert all(len(digest) == 64 for digest in front_end.weights.values())


def test_leaves_the_waveform_as_it_was(front_end):
    waveform = noise(1, 4000)
    before = waveform.clone()
    front_end(waveform)
    torch.testing.assert_close(waveform, before, rtol=0, atol=0)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    root = make_corpus(tmp_path_factory.mktemp("corpus") / "LA", n_per_class=2, duration_s=0.4)
    return CORPORA["asvspoof2019_la"](root).partition("train")


def test_a_store_holds_the_features_of_each_recording(block, front_end, utterances, tmp_path):
    store = extract(utterances, block, AudioOptions(), root=tmp_path)
    assert (store.n_features, store.hop_length) == (front_end.n_features, front_end.hop_length)
    assert len(store) == len(utterances) == 4
    for index, each in enumerate(utterances):
        features = front_end(torch.from_numpy(audio.load(each.path, AudioOptions()))[None])[0].T
        np.testing.assert_allclose(store.frames(index), features.half().numpy(), rtol=2e-3, atol=1e-3)


def windows(waveform: np.ndarray, window: str, win_length: int, hop_length: int, n_fft: int, pre_emphasis: float):
    """Power spectra (n_frames, n_fft // 2 + 1) in float64, one window after the other."""
    emphasised = scipy.signal.lfilter([1.0, -pre_emphasis], [1.0], waveform)
    shape = scipy.signal.get_window(window, win_length, fftbins=False)
    starts = range(0, len(emphasised) - win_length + 1, hop_length)
    return np.array([np.abs(np.fft.rfft(emphasised[s : s + win_length] * shape, n_fft)) ** 2 for s in starts])


def triangles(edges: np.ndarray, n_fft: int) -> np.ndarray:
    """Filters (n_fft // 2 + 1, n_filters): filter i rises from edges[i] to edges[i + 1] and falls to edges[i + 2]."""
    bins = np.arange(n_fft // 2 + 1) * 16000 / n_fft
    columns = [np.interp(bins, edges[i : i + 3], [0.0, 1.0, 0.0]) for i in range(len(edges) - 2)]
    return np.stack(columns, axis=1)


def differences(coefficients: np.ndarray) -> np.ndarray:
    """The baseline's deltas: an FIR filter with the taps 1, 0, -1, whose sum is not normalised, on repeated edges."""
    padded = np.vstack([coefficients[:1], coefficients, coefficients[-1:]])
    return scipy.signal.lfilter([1, 0, -1], 1, padded, axis=0)[2:]


def cepstra(waveform: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Cepstra of the ASVspoof 2019 baseline with deltas, one window after the other; the last one is filled up."""
    emphasised = scipy.signal.lfilter([1.0, -0.97], [1.0], waveform)
    filled = np.append(emphasised, np.zeros(-(len(waveform) - 320) % 160))
    energies = windows(filled, "hamming", 320, 160, 512, 0.0) @ triangles(edges, 512)
    static = scipy.fft.dct(np.log10(energies + np.finfo(float).eps), type=2, norm="ortho", axis=1)[:, :20]
    return np.hstack([static, differences(static), differences(differences(static))])


@pytest.mark.parametrize("time", [5000, 5120, 320, 321])
def test_lfcc_is_the_baselines(time):
    waveform = noise(1, time)
    waveform[:, time // 2 : time // 2 + 400] = 0  # digital silence
    features = lfcc()(waveform)
    assert features.shape == (1, 60, 1 + math.ceil((time - 320) / 160))
    expected = cepstra(waveform[0].double().numpy(), np.linspace(0, 8000, 22))
    np.testing.assert_allclose(features[0].T.numpy(), expected, atol=2e-3)


def test_mfcc_against_scipy():
    waveform = noise(1, 5000)
    mels = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 42)
    expected = cepstra(waveform[0].double().numpy(), 700 * (10 ** (mels / 2595) - 1))
    np.testing.assert_allclose(mfcc()(waveform)[0].T.numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("window", ["hamming", "hann", "blackman"])
@pytest.mark.parametrize(("n_fft", "win_length"), [(512, 400), (512, 401), (400, 400)])
def test_logspec_against_scipy(window, n_fft, win_length):
    waveform = noise(1, 3000)
    features = logspec(n_fft=n_fft, win_length=win_length, hop_length=130, window=window, pre_emphasis=0.5)(waveform)
    power = windows(waveform[0].double().numpy(), window, win_length, 130, n_fft, 0.5)
    # Relative to power: the log of a bin that is close to zero has few correct digits in float32.
    np.testing.assert_allclose(10 ** features[0].T.double().numpy(), power, rtol=1e-3, atol=1e-4)


def test_logspec_of_a_tone_peaks_at_its_bin():
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(4000) / 16000)[None]
    assert (logspec()(tone)[0].argmax(dim=0) == 1000 * 512 // 16000).all()


def test_louder_by_ten_shifts_c0_alone():
    waveform = noise(1, 4000)
    front_end = lfcc(deltas=False)
    difference = front_end(10 * waveform) - front_end(waveform)
    expected = torch.zeros_like(difference)
    expected[:, 0] = 2 * 20**0.5  # log10 of 100 times the power in each of 20 bands, by an orthonormal DCT
    torch.testing.assert_close(difference, expected, rtol=0, atol=1e-3)


def test_deltas_by_hand_and_against_torchaudio():
    by_hand = with_deltas(torch.tensor([[[1.0, 3.0, 9.0]]]), reach=1, divisor=2)
    torch.testing.assert_close(by_hand[:, :2], torch.tensor([[[1.0, 3.0, 9.0], [1.0, 4.0, 3.0]]]))
    features = torch.randn(2, 5, 9)
    for reach, divisor in ((1, 2), (3, 28)):  # regression lines
        first = audio_functional.compute_deltas(features, win_length=2 * reach + 1)
        second = audio_functional.compute_deltas(first, win_length=2 * reach + 1)
        found = with_deltas(features, reach=reach, divisor=divisor)
        torch.testing.assert_close(found, torch.cat([features, first, second], dim=1))


@pytest.mark.parametrize("name", SPECTRAL)
@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("win_length", 513, "win_length is 513; it must be from 2 to n_fft, 512"),
        ("hop_length", 0, "hop_length is 0; it must be at least 1"),
        ("pre_emphasis", 1.5, "pre_emphasis is 1.5; it must be from 0 to 1"),
        ("pre_emphasis", float("nan"), "pre_emphasis is nan"),
    ],
)
def test_wrong_framing_is_refused(name, option, value, message):
    with pytest.raises(ValueError, match=message):
        SPECTRAL[name](**{option: value})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lfcc", {"n_lfcc": 21}, "n_lfcc is 21; it must be from 1 to n_filter, 20"),
        ("mfcc", {"n_mfcc": 0}, "n_mfcc is 0; it must be from 1 to n_mels, 40"),
        ("lfcc", {"f_min": 4000, "f_max": 3000}, "f_min is 4000 and f_max 3000; 0 <= f_min < f_max <= 8000"),
        ("lfcc", {"f_max": 9000.0}, "<= 8000 must hold"),
        ("mfcc", {"n_mels": 200}, "narrower than a bin"),
        ("lfcc", {"n_filter": 600}, "narrower than a bin"),
        ("lfcc", {"n_coefficients": 20}, "lfcc has no 'n_coefficients'; it takes n_lfcc"),
        ("logspec", {"window": "kaiser"}, "it must be one of hamming, hann, blackman"),
        ("mfcc", {"deltas": "yes"}, "deltas of mfcc is 'yes'; it must be bool"),
    ],
)
def test_what_a_user_may_get_wrong(name, options, message):
    with pytest.raises(InputError, match=message):
        table.build("front_end", FRONT_ENDS, table.Block(name, options))


def test_every_problem_is_listed_at_once():
    with pytest.raises(ValueError, match=r"win_length.*hop_length"):
        lfcc(win_length=1, hop_length=-1)


@pytest.mark.parametrize("name", ["lfcc", "mfcc", "logspec"])
def test_mean_normalization_takes_a_constant_channel_out(name):
    waveform = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    options = {} if name == "logspec" else {"deltas": False}
    plain, normalized = FRONT_ENDS[name](**options), FRONT_ENDS[name](**options, mean_normalize=True)
    features = normalized(waveform)
    torch.testing.assert_close(features.mean(dim=-1), torch.zeros(1, normalized.n_features), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalized(0.25 * waveform), features, atol=1e-4, rtol=1e-4)
    assert (plain(0.25 * waveform) - plain(waveform)).abs().max() > 0.5


def test_half_precision_keeps_a_waveform_of_16_bits():
    """Quiet samples are stored exactly, and the error of a loud one is 70 dB below it."""
    samples = np.arange(-32768, 32768, dtype=np.int64) / 32768
    stored = FRONT_ENDS["waveform"]()(torch.tensor(samples)[None]).half()[0, 0].double().numpy()
    quiet = np.abs(samples) <= 1 / 16
    np.testing.assert_array_equal(stored[quiet], samples[quiet])
    assert np.abs(stored / np.where(samples == 0, 1, samples) - (samples != 0)).max() <= 2**-11
    noise_db = 10 * np.log10(np.square(stored - samples).mean() / np.square(samples).mean())
    assert noise_db < -70

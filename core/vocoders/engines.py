"""Engines: a recording -> spoofed speech. The caller assigns an engine to an attack.

Every engine is a function of its material and a generator, and returns a waveform `(time,)` at 16 kHz. Packages of the
`demo` extra are imported in the functions that use them, so that spooftune runs without them.
"""

import warnings

import numpy as np
import scipy
from numpy.typing import NDArray

from core.audio import SAMPLE_RATE
from core.vocoders.material import Material, median_f0, world
from core.vocoders.signal_chain import Waveform

_HOP = SAMPLE_RATE // 200  # samples: a frame every 5 ms, as in WORLD
_ALPHA = 0.42  # frequency warping that approximates the mel scale at 16 kHz


def pitch(waveform: Waveform) -> tuple[Waveform, Waveform]:
    """F0 in Hz (0 = unvoiced) and times in s, both `(n_frames,)`, every 5 ms."""
    samples = np.ascontiguousarray(waveform, dtype=np.float64)
    coarse, times = world().dio(samples, SAMPLE_RATE)
    return world().stonemask(samples, coarse, times, SAMPLE_RATE), times


def world_analysis(waveform: Waveform) -> tuple[Waveform, NDArray[np.float64], NDArray[np.float64]]:
    """F0 in Hz `(n_frames,)` (0 = unvoiced), spectral envelope and aperiodicity `(n_frames, n_bins)`, every 5 ms."""
    samples = np.ascontiguousarray(waveform, dtype=np.float64)
    f0, times = pitch(samples)
    envelope = world().cheaptrick(samples, f0, times, SAMPLE_RATE)
    return f0, envelope, world().d4c(samples, f0, times, SAMPLE_RATE)


def pulse_noise_excitation(f0: Waveform, rng: np.random.Generator) -> Waveform:
    """Excitation `(n_frames * 80,)` of unit power: one pulse per period in voiced frames, white noise elsewhere."""
    per_sample = np.repeat(f0, _HOP)
    excitation = np.where(per_sample > 0, 0.0, rng.standard_normal(len(per_sample)))
    cycles = np.cumsum(per_sample / SAMPLE_RATE)
    pulses = np.flatnonzero(np.diff(np.floor(cycles), prepend=0.0) > 0)
    pulses = pulses[per_sample[pulses] > 0]
    excitation[pulses] = np.sqrt(SAMPLE_RATE / per_sample[pulses])
    return excitation


def mel_bands(n_bands: int, n_bins: int) -> NDArray[np.float64]:
    """Triangular filters `(n_bands, n_bins)`; their edges are evenly spaced in mel from 0 to 8 kHz."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_bands + 2) / 2595) - 1)
    frequency = np.linspace(0, SAMPLE_RATE / 2, n_bins)
    rising = (frequency - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequency) / np.diff(edges)[1:, None]
    bands: NDArray[np.float64] = np.maximum(np.minimum(rising, falling), 0.0)
    return bands


def griffin_lim(material: Material, rng: np.random.Generator) -> Waveform:
    """Copy synthesis through 40 mel bands: magnitudes by a pseudo-inverse, phases by 16 rounds of fast Griffin-Lim."""
    n_fft, overlap, momentum = 512, 384, 0.9

    def transform(waveform: Waveform) -> NDArray[np.complex128]:
        spectrum: NDArray[np.complex128] = scipy.signal.stft(waveform, nperseg=n_fft, noverlap=overlap)[2]
        return spectrum  # (n_bins, n_frames)

    def inverse(spectrum: NDArray[np.complex128]) -> Waveform:
        return np.asarray(scipy.signal.istft(spectrum, nperseg=n_fft, noverlap=overlap)[1])

    magnitude = np.abs(transform(material.source))
    bands = mel_bands(40, len(magnitude))
    restored = np.maximum(np.linalg.pinv(bands) @ (bands @ magnitude), 1e-6)
    estimate, previous = restored.astype(np.complex128), np.zeros(restored.shape, np.complex128)
    for _ in range(16):
        consistent = transform(inverse(estimate))
        ahead = consistent - momentum / (1 + momentum) * previous
        estimate, previous = restored * ahead / np.maximum(np.abs(ahead), 1e-12), consistent
    return inverse(estimate)[: len(material.source)]


def lpc_vocoder(material: Material, rng: np.random.Generator) -> Waveform:
    """LPC vocoder: linear prediction of order 14 every 5 ms, excited by pulses or noise; it sounds buzzy."""
    source, order, length = material.source, 14, 400
    f0, _ = pitch(source)
    excitation = pulse_noise_excitation(f0, rng)
    padded = np.pad(np.append(source[0], source[1:] - 0.97 * source[:-1]), length)
    window, state, output = np.hamming(length), np.zeros(order), []
    for number in range(len(f0)):
        start = length + number * _HOP - length // 2
        frame = padded[start : start + length] * window[: len(padded[start : start + length])]
        correlation = scipy.signal.correlate(frame, frame)[len(frame) - 1 :][: order + 1]
        correlation[0] = correlation[0] * 1.0001 + 1e-9
        predictor = scipy.linalg.solve_toeplitz(correlation[:-1], correlation[1:])
        error = max(float(correlation[0] - predictor @ correlation[1:]), 0.0)
        gain = np.sqrt(error / np.sum(window**2))
        part = gain * excitation[number * _HOP : (number + 1) * _HOP]
        filtered, state = scipy.signal.lfilter([1.0], np.append(1.0, -predictor), part, zi=state)
        output.append(filtered)
    return np.asarray(scipy.signal.lfilter([1.0], [1.0, -0.97], np.concatenate(output)))


def world_conversion(material: Material, rng: np.random.Generator) -> Waveform:
    """Voice conversion with WORLD: F0 moved to the claimed speaker's, formants shifted by up to 12 %."""
    f0, envelope, aperiodicity = world_analysis(material.source)
    f0 = f0 * np.clip(median_f0(material.target) / median_f0(material.source), 0.5, 2.0)
    bins = np.arange(envelope.shape[1], dtype=np.float64)
    stretched = np.clip(bins / rng.uniform(0.88, 1.12), 0, bins[-1])
    moved = np.stack([np.exp(np.interp(stretched, bins, row)) for row in np.log(envelope)])
    return world().synthesize(f0, moved, aperiodicity, SAMPLE_RATE)  # type: ignore[no-any-return]


def harmonic_noise(material: Material, rng: np.random.Generator) -> Waveform:
    """Harmonics under a coarse spectral envelope where voiced, filtered noise elsewhere; no measured phase is kept."""
    f0, envelope, _ = world_analysis(material.source)
    code = world().code_spectral_envelope(envelope, SAMPLE_RATE, 18)  # as few numbers as a slow codec would send
    envelope = world().decode_spectral_envelope(code, SAMPLE_RATE, 2 * envelope.shape[1] - 2)
    n_samples, n_bins = len(f0) * _HOP, envelope.shape[1]
    at_frame, at_sample = np.arange(len(f0)) * _HOP, np.arange(n_samples)
    held = np.interp(at_frame, at_frame[f0 > 0], f0[f0 > 0]) if np.any(f0 > 0) else np.full(len(f0), 150.0)
    f0_at_sample = np.interp(at_sample, at_frame, held)
    voiced = np.interp(at_sample, at_frame, (f0 > 0).astype(float))
    phase = 2 * np.pi * np.cumsum(f0_at_sample) / SAMPLE_RATE
    frames, output = np.arange(len(f0)), np.zeros(n_samples)
    for harmonic in range(1, int(7200 / held.min()) + 1):
        frequency = harmonic * held
        nearest = np.minimum(np.round(frequency / SAMPLE_RATE * 2 * (n_bins - 1)), n_bins - 1).astype(int)
        amplitude = np.where(frequency < 7200, np.sqrt(envelope[frames, nearest] * held), 0.0)
        wave = np.cos(harmonic * phase + rng.uniform(0, 2 * np.pi))
        output += np.interp(at_sample, at_frame, amplitude) * wave * voiced * np.sqrt(4.0 / SAMPLE_RATE)
    window = scipy.signal.windows.hann(4 * _HOP, sym=False)
    transform = scipy.signal.ShortTimeFFT(window, _HOP, SAMPLE_RATE, mfft=2 * (n_bins - 1))
    spectrum = transform.stft(rng.standard_normal(n_samples))
    columns = np.clip(np.arange(spectrum.shape[1]) + transform.p_min, 0, len(f0) - 1)
    noise = transform.istft(spectrum * np.sqrt(envelope[columns].T), k1=n_samples)
    return np.asarray(output + noise * (1.0 - 0.9 * voiced))


def mlsa(material: Material, rng: np.random.Generator) -> Waveform:
    """Mel-cepstral vocoder: 25 coefficients per frame in the MLSA filter, excited by pulses or noise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pysptk
        from pysptk.synthesis import MLSADF, Synthesizer
    f0, envelope, _ = world_analysis(material.source)
    # The filter's Pade approximation diverges on deep spectral valleys: limit them to 45 dB below the frame's peak.
    floored = np.maximum(envelope, 10**-4.5 * envelope.max(axis=1, keepdims=True)) + 1e-10
    coefficients = pysptk.mc2b(pysptk.sp2mc(floored, 24, _ALPHA), _ALPHA)
    synthesizer = Synthesizer(MLSADF(order=24, alpha=_ALPHA, pd=5), _HOP)
    return synthesizer.synthesis(pulse_noise_excitation(f0, rng), coefficients)  # type: ignore[no-any-return]


def world_coded(material: Material, rng: np.random.Generator) -> Waveform:
    """WORLD resynthesis: 14 envelope coefficients per frame, coded aperiodicity, F0 smoothed and moved by up to 7 %."""
    f0, envelope, aperiodicity = world_analysis(material.source)
    n_fft = (envelope.shape[1] - 1) * 2
    code = world().code_spectral_envelope(envelope, SAMPLE_RATE, 14)
    bands = world().code_aperiodicity(aperiodicity, SAMPLE_RATE)
    smooth = scipy.signal.medfilt(f0, 9) * rng.uniform(0.93, 1.07)
    return world().synthesize(  # type: ignore[no-any-return]
        np.where(f0 > 0, smooth, 0.0),
        world().decode_spectral_envelope(code, SAMPLE_RATE, n_fft),
        world().decode_aperiodicity(bands, SAMPLE_RATE, n_fft),
        SAMPLE_RATE,
    )


def unit_concatenation(material: Material, rng: np.random.Generator) -> Waveform:
    """Unit selection: pieces of 40 ms from the speaker's `bank`, chosen by spectrum and joined at the best phase."""
    hop, unit, fade = 160, 640, 80

    def spectra(waveform: Waveform) -> NDArray[np.float64]:
        frames = np.lib.stride_tricks.sliding_window_view(np.pad(waveform, (0, 400)), 400)[::hop]
        power = np.abs(np.fft.rfft(frames * np.hamming(400), 512)) ** 2
        bands = np.add.reduceat(power, np.unique(np.geomspace(3, 230, 24).astype(int)), axis=1)
        cepstra: NDArray[np.float64] = scipy.fft.dct(np.log(bands + 1e-9), norm="ortho", axis=1)[:, :14]
        return np.lib.stride_tricks.sliding_window_view(cepstra, unit // hop, axis=0).reshape(
            len(cepstra) - unit // hop + 1, -1
        )

    bank = np.concatenate([np.zeros(fade), *material.bank, np.zeros(unit + 2 * fade)])
    candidates, wanted = spectra(bank), spectra(np.pad(material.source, (0, unit)))[:: unit // hop]
    starts = np.arange(len(candidates)) * hop
    distance = (candidates**2).sum(
        axis=1
    ) - 2 * wanted @ candidates.T  # (n_units, n_candidates), up to a constant per row
    distance[:, (starts < fade) | (starts + unit + 2 * fade > len(bank))] = np.inf
    output, ramp = np.zeros(len(wanted) * unit + fade), np.linspace(0.0, 1.0, fade)
    for number, best in enumerate(distance.argmin(axis=1)):
        start, place = int(starts[best]), number * unit
        if number:  # shifts the piece by up to 5 ms to the best phase
            fits = np.correlate(bank[start - fade : start + 2 * fade], output[place : place + fade])
            start += int(fits.argmax()) - fade
        piece = bank[start : start + unit + fade].copy()
        piece[:fade] *= ramp
        piece[-fade:] *= ramp[::-1]
        output[place : place + len(piece)] += piece
    return output[: len(material.source)]


def psola(material: Material, rng: np.random.Generator) -> Waveform:
    """Voice conversion with Praat's overlap-add: F0 moved to the claimed speaker's, duration kept."""
    import parselmouth

    sound = parselmouth.Sound(material.source, SAMPLE_RATE)
    manipulation = parselmouth.praat.call(sound, "To Manipulation", 0.01, 60, 500)
    tier = parselmouth.praat.call(manipulation, "Extract pitch tier")
    ratio = float(np.clip(median_f0(material.target) / median_f0(material.source), 0.6, 1.7)) * rng.uniform(0.95, 1.05)
    parselmouth.praat.call(tier, "Multiply frequencies", 0, sound.duration, ratio)
    parselmouth.praat.call([manipulation, tier], "Replace pitch tier")
    output = parselmouth.praat.call(manipulation, "Get resynthesis (overlap-add)")
    return np.asarray(output.values[0], dtype=np.float64)

"""The common processing of bona fide and spoofed speech. A difference here would become a shortcut for a detector.

`decode` and `pieces` read recordings. Spoofed speech gets the spectrum (`with_spectrum_of`) and the codec
(`through_codec`) of its claimed speaker. `finished` makes the clips of both classes.
"""

import io
import math
from pathlib import Path
from typing import Literal

import numpy as np
import scipy
import soundfile
from numpy.typing import NDArray

from core.audio import SAMPLE_RATE, AudioOptions, load

Waveform = NDArray[np.float64]
Codec = Literal["pcm", "g722", "vorbis"]

MIN_DURATION_S, MAX_DURATION_S = 1.0, 6.0
LEVEL_DBFS, LEVEL_SPREAD_DB = -26.0, 2.0
NOISE_SNR_DB = (40.0, 55.0)
BAND_HZ = (80.0, 7200.0)  # the upper edge is that of G.722
EDGE_MARGIN_S = 0.02

_FRAME, _HOP = SAMPLE_RATE // 50, SAMPLE_RATE // 100


def decode(path: Path) -> Waveform:
    """A recording `(time,)` at 16 kHz, mono; `.g722` is raw G.722 at 64 kbit/s; `core.audio.load` reads other files.

    Raises:
        AudioError: The file cannot be read as audio, or is shorter than 0.1 s.
    """
    if path.suffix == ".g722":
        return g722_decoded(path.read_bytes())
    return load(path, AudioOptions()).astype(np.float64)


def codec_of(path: Path) -> tuple[Codec, int]:
    """Codec and original sample rate (Hz) of a recording, from the file's suffix and header."""
    if path.suffix == ".g722":
        return "g722", SAMPLE_RATE
    return "vorbis" if path.suffix.lower() == ".ogg" else "pcm", soundfile.info(path).samplerate


def g722_decoded(data: bytes) -> Waveform:
    """Waveform `(2 * len(data),)` of raw G.722 at 64 kbit/s; one byte encodes two samples."""
    import av

    decoder = av.CodecContext.create("g722", "r")
    decoder.sample_rate, decoder.layout = SAMPLE_RATE, "mono"
    frames = [frame.to_ndarray().ravel() for frame in decoder.decode(av.Packet(data))]
    return np.concatenate([np.zeros(0, np.int16), *frames]) / 32768.0


def g722_encoded(waveform: Waveform) -> bytes:
    """Raw G.722 at 64 kbit/s of a waveform `(time,)` in [-1, 1] at 16 kHz; an odd length is padded by a zero."""
    import av

    even = np.pad(waveform, (0, len(waveform) % 2))
    encoder = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(as_int16(even).reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    return b"".join(bytes(packet) for part in (frame, None) for packet in encoder.encode(part))


def through_codec(waveform: Waveform, codec: Codec, sample_rate: int) -> Waveform:
    """The waveform `(time,)` after a codec at `sample_rate` (Hz); about as long, with a delay of a few samples."""
    if codec == "pcm":
        return waveform
    if codec == "g722":
        return g722_decoded(g722_encoded(waveform))
    file, samples = io.BytesIO(), resampled(waveform, SAMPLE_RATE, sample_rate)
    with soundfile.SoundFile(file, "w", sample_rate, channels=1, format="OGG", subtype="VORBIS") as encoder:
        # libvorbis puts the samples of one call on its stack, which overflows after about a minute of speech.
        for begin in range(0, len(samples), sample_rate):
            encoder.write(samples[begin : begin + sample_rate])
    file.seek(0)
    return resampled(soundfile.read(file)[0], sample_rate, SAMPLE_RATE)[: len(waveform)]


def resampled(waveform: Waveform, rate: int, new_rate: int) -> Waveform:
    """The waveform at another sample rate (Hz), by a polyphase filter."""
    common = math.gcd(rate, new_rate)
    return waveform if rate == new_rate else scipy.signal.resample_poly(waveform, new_rate // common, rate // common)


def frame_levels(waveform: Waveform) -> NDArray[np.float64]:
    """Levels in dB of frames of 20 ms every 10 ms, `(n_frames,)`, at least one; silence is -120 dB."""
    padded = np.pad(waveform, (0, max(0, _FRAME - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    levels: NDArray[np.float64] = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    return levels


def trimmed(waveform: Waveform, *, top_db: float = 35.0) -> Waveform:
    """The waveform without edges more than `top_db` below its loud frames (95th percentile); 20 ms margins remain."""
    levels = frame_levels(waveform)
    active = np.flatnonzero(levels > np.percentile(levels, 95) - top_db)
    margin = round(EDGE_MARGIN_S * SAMPLE_RATE)
    return waveform[max(0, active[0] * _HOP - margin) : active[-1] * _HOP + _FRAME + margin]


def pieces(waveform: Waveform, *, shortest_s: float = 1.2, longest_s: float = 5.8) -> list[Waveform]:
    """Trimmed pieces of 1.2 to 5.8 s. A longer recording is cut at its quietest frames; a shorter one has no pieces."""
    if rms(waveform) < 1e-4:  # -80 dBFS: silence
        return []
    waveform, cuts = trimmed(waveform), []
    while len(waveform) > longest_s * SAMPLE_RATE:
        levels = frame_levels(waveform[: int(longest_s * SAMPLE_RATE)])
        first = len(levels) // 2  # a piece has at least half of the maximum length
        cut = (first + int(np.argmin(levels[first:]))) * _HOP
        cuts.append(trimmed(waveform[:cut]))
        waveform = trimmed(waveform[cut:])
    return [piece for piece in [*cuts, waveform] if shortest_s * SAMPLE_RATE <= len(piece) <= longest_s * SAMPLE_RATE]


def with_spectrum_of(waveform: Waveform, reference: Waveform, *, limit_db: float = 6.0) -> Waveform:
    """The waveform with the level and the long-term spectrum of a reference.

    The spectra are smoothed over 780 Hz, and the gain is limited to `limit_db`.
    """

    def density(samples: Waveform) -> NDArray[np.float64]:
        power = scipy.signal.welch(samples, SAMPLE_RATE, nperseg=512)[1]
        smooth: NDArray[np.float64] = np.convolve(np.pad(power, 12, mode="edge"), np.full(25, 1 / 25), mode="valid")
        return smooth + 1e-14

    waveform = waveform * (rms(reference) / max(rms(waveform), 1e-9))
    gain_db = np.clip(10 * np.log10(density(reference) / density(waveform)), -limit_db, limit_db)
    taps = scipy.signal.firwin2(257, np.linspace(0, 1, len(gain_db)), 10 ** (gain_db / 20))
    return np.convolve(waveform, taps, mode="same")


def finished(waveform: Waveform, rng: np.random.Generator) -> NDArray[np.int16]:
    """The clip `(time,)` of a corpus: band-limited, trimmed, at most 6 s, at -26 +- 2 dBFS, with weak coloured noise.

    The noise is 40 to 55 dB below the speech, and its power falls as f^0 to f^-2. Level and noise have the same
    distribution for both classes.
    """
    high_pass = scipy.signal.butter(8, BAND_HZ[0], "highpass", fs=SAMPLE_RATE, output="sos")
    low_pass = scipy.signal.firwin(255, BAND_HZ[1], fs=SAMPLE_RATE)
    waveform = scipy.signal.sosfiltfilt(high_pass, np.convolve(waveform, low_pass, mode="same"))
    waveform = trimmed(waveform) * rng.choice((-1.0, 1.0))  # hides the polarity of the microphone
    waveform = waveform[: round(MAX_DURATION_S * SAMPLE_RATE)]
    level = LEVEL_DBFS + rng.uniform(-LEVEL_SPREAD_DB, LEVEL_SPREAD_DB)
    waveform = waveform * (10 ** (level / 20) / max(rms(waveform), 1e-9))
    noise = coloured_noise(len(waveform), rng.uniform(0.0, 2.0), rng)
    waveform = waveform + noise * 10 ** ((level - rng.uniform(*NOISE_SNR_DB)) / 20)
    return as_int16(waveform)


def coloured_noise(length: int, slope: float, rng: np.random.Generator) -> Waveform:
    """Noise `(length,)` of unit RMS whose power falls with frequency as f^-slope (flat below 50 Hz)."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequency = np.maximum(np.fft.rfftfreq(length, 1 / SAMPLE_RATE), 50.0)
    noise: Waveform = np.fft.irfft(spectrum * frequency ** (-slope / 2), length)
    return noise / max(rms(noise), 1e-12)


def as_int16(waveform: Waveform) -> NDArray[np.int16]:
    """16-bit samples of a waveform in [-1, 1]; values outside are clipped."""
    return np.round(np.clip(waveform, -1.0, 32767 / 32768) * 32768).astype(np.int16)


def rms(waveform: Waveform) -> float:
    """Root mean square; 0 for an empty waveform."""
    return float(np.sqrt(np.mean(waveform**2))) if len(waveform) else 0.0

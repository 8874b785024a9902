import subprocess
import sys

import numpy as np
import pytest
import soundfile

from core.audio import AudioError, AudioOptions, blocks, load
from core.audio.streaming import BLOCK_SAMPLES


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of at most 2,000 samples over all channels, so that short recordings have many."""
    assert BLOCK_SAMPLES > 2000
    monkeypatch.setattr("core.audio.streaming.BLOCK_SAMPLES", 2000)


def write(path, rate, n_samples, n_channels=1, silence=0):
    noise = np.random.default_rng(rate).normal(size=(n_samples, n_channels)) * 0.1
    still = np.zeros((silence, n_channels))
    soundfile.write(path, np.concatenate([still, noise[: n_samples // 2], still, noise[n_samples // 2 :], still]), rate)
    return path


@pytest.mark.parametrize("rate", [16000, 8000, 11025, 44100, 48000, 22057])
@pytest.mark.parametrize("trim", [False, True])
def test_blocks_are_the_waveform_to_the_bit(tmp_path, rate, trim):
    path = write(tmp_path / "a.wav", rate, 25_003, n_channels=2, silence=3_333)
    options = AudioOptions(trim_silence=trim)
    parts = list(blocks(path, options))
    whole = load(path, options)
    assert len(parts) > 1
    assert np.array_equal(np.concatenate(parts), whole)
    assert (len(whole) < len(load(path, AudioOptions()))) == trim


def test_blocks_are_refused_and_suspected_as_the_whole_is(tmp_path):
    loud, still, short = (tmp_path / name for name in ("loud.wav", "still.wav", "short.wav"))
    soundfile.write(loud, np.full((9000, 1), 9.0), 16000, subtype="FLOAT")
    soundfile.write(still, np.zeros(9000), 16000)
    soundfile.write(short, np.full(100, 0.5), 16000)
    for path, options in (
        (loud, AudioOptions()),
        (still, AudioOptions(trim_silence=True)),
        (short, AudioOptions()),
        (tmp_path / "absent.wav", AudioOptions()),
    ):
        told = []
        for read in (load, lambda *arguments: list(blocks(*arguments))):
            heard = []
            try:
                read(path, options, heard.append)
            except AudioError as error:
                heard.append(str(error))
            told.append(heard)
        assert told[0] == told[1]
        assert told[0]


def test_a_truncated_recording_gives_its_first_blocks_and_then_an_error(tmp_path):
    path = write(tmp_path / "a.flac", 16000, 60_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    stream = blocks(path, AudioOptions())
    assert len(next(stream)) == 2000
    with pytest.raises(AudioError, match=r"a\.flac: cannot be decoded"):
        list(stream)


def test_memory_does_not_grow_with_the_duration(tmp_path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 44100, 1) as file:
        for _ in range(20):
            file.write(np.random.default_rng(0).normal(size=30 * 44100) * 0.1)
    script = (
        "import resource, sys; from pathlib import Path; from core.audio import AudioOptions, blocks\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "stream = blocks(Path(sys.argv[1]), AudioOptions()); n = len(next(stream)); before = peak()\n"
        "n += sum(map(len, stream)); print(n, peak() - before)"
    )
    told = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True).stdout
    n_samples, grown_mb = told.split()
    assert int(n_samples) == 600 * 16000
    assert float(grown_mb) < 30  # the waveform has 37 MB at 16 kHz, and 101 MB as it is read

"""The waveform itself as features, for networks that learn from samples, such as AASIST and RawNet2."""

from torch import Tensor, nn


class Waveform(nn.Module):
    """One value per sample; see `waveform`."""

    version = 1

    def __init__(self) -> None:
        super().__init__()
        self.n_features = 1
        self.hop_length = 1
        self.min_samples = 1
        self.weights: dict[str, str] = {}

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, 1, time)` of waveforms `(batch, time)`.

        Raises:
            RuntimeError: The waveforms have no samples.
        """
        if waveform.shape[1] < self.min_samples:
            raise RuntimeError("a waveform without samples has no features")
        return waveform.unsqueeze(1)


def waveform() -> Waveform:
    """Samples as frames of one value, so `input.n_frames` counts samples.

    A store holds float16, which suits samples in [-1, 1] as they are: samples of 16-bit recordings below 1/16 of full
    scale are stored exactly, and louder ones with a relative error of at most 2^-11, which is noise more than 70 dB
    below the sample. A store has the size of the recordings as 16-bit PCM.
    """
    return Waveform().eval()

"""The waveform itself as features, for networks that learn from samples, such as AASIST and fine-tuned encoders."""

from collections.abc import Mapping

from torch import Tensor, nn

from core.errors import InputError
from core.features.pretrained.hub import CONFIGURATION, matching, model_folder, weight_files
from core.features.weights import digests


class Waveform(nn.Module):
    """One value per sample; see `waveform`."""

    version = 1

    def __init__(
        self, weights: Mapping[str, str] | None = None, configuration: Mapping[str, str] | None = None
    ) -> None:
        """The front end.

        Args:
            weights: File name -> SHA-256 of the weights of an encoder that a backbone trains; None: there is none.
            configuration: File name -> SHA-256 of the files that describe this encoder.
        """
        super().__init__()
        self.n_features = 1
        self.hop_length = 1
        self.min_samples = 1
        self.weights: Mapping[str, str] = weights or {}
        self.configuration: Mapping[str, str] = configuration or {}

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, 1, time)` of waveforms `(batch, time)`.

        Raises:
            RuntimeError: The waveforms have no samples.
        """
        if waveform.shape[1] < self.min_samples:
            raise RuntimeError("a waveform without samples has no features")
        return waveform.unsqueeze(1)


def waveform(*, model: str | None = None, revision: str | None = None) -> Waveform:
    """Samples as frames of one value, so `input.n_frames` counts samples.

    A store holds float16, which suits samples in [-1, 1] as they are: samples of 16-bit recordings below 1/16 of full
    scale are stored exactly, and louder ones with a relative error of at most 2^-11, which is noise more than 70 dB
    below the sample. A store has the size of the recordings as 16-bit PCM.

    Args:
        model: Encoder that the backbone `fine_tuned` trains: its name on the Hugging Face hub, or a local folder, as
            for the front end `transformers`. The samples do not depend on it, but it is found, identified and exported
            like the weights of any front end. Every model has a store of its own. None: the backbone has no encoder.
        revision: Branch, tag or commit on the hub; None: the default branch. With a commit, results are repeatable.

    Raises:
        InputError: The model cannot be found or has no weights.
    """
    if model is None:
        if revision is not None:
            raise InputError("front_end: waveform: `revision` is given without `model`")
        return Waveform().eval()
    folder = model_folder("waveform", model, revision)
    paths = weight_files(folder)
    if not paths:
        raise InputError(
            f"front_end: waveform: {model} has no weights: neither model.safetensors nor pytorch_model.bin"
        )
    return Waveform(digests(paths), digests(matching(folder, CONFIGURATION))).eval()

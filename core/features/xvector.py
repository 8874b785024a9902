"""x-vectors (Snyder 2018) as a front end: one speaker embedding per utterance.

The weights come from a file: safetensors, or a state dict that torch saved. It holds the following floating-point
tensors, for `i` from 0 to 4. The sizes of the network are those of the tensors.

- `tdnn.{i}.convolution.weight` `(channels, channels of the layer below, kernel)`, where the first layer has `n_mfcc`
  channels below it; `tdnn.{i}.convolution.bias` `(channels,)`.
- `tdnn.{i}.norm.{weight,bias,running_mean,running_var}` `(channels,)`; `num_batches_tracked` is optional.
- `embedding.weight` `(n_features, 2 * channels of the last layer)`, columns of the means first, then of the standard
  deviations; `embedding.bias` `(n_features,)`.

The layers that follow the embedding in training (two hidden layers and the speakers) are not part of the file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from core.audio import SAMPLE_RATE
from core.errors import InputError
from core.features.spectral import Spectral, mfcc
from core.features.tensors import float_tensors, listed, misfits, read_tensors, shapes, with_tensors
from core.features.weights import digests

DILATIONS = (1, 2, 3, 1, 1)
CHANNELS = (512, 512, 512, 512, 1500)
KERNELS = (5, 3, 3, 1, 1)
EMBEDDING_DIM = 512

VARIANCE_FLOOR = 1e-10
"""Minimum of the variance over time. It keeps the gradient of the square root finite where a feature is constant."""

RECKONED = 4 * SAMPLE_RATE
"""Assumed length of an utterance in samples, for the estimate of a feature store's size."""


class Layer(nn.Module):
    """A convolution over time without padding, then ReLU, then batch norm."""

    def __init__(self, n_in: int, n_out: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(n_in, n_out, kernel, dilation=dilation)
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor) -> Tensor:
        """Output `(batch, n_out, n_frames - (kernel - 1) * dilation)` from input `(batch, n_in, n_frames)`."""
        normed: Tensor = self.norm(self.convolution(x).relu())
        return normed


class Network(nn.Module):
    """The x-vector network: five convolutions over time, mean and standard deviation over time, one linear layer.

    Args:
        n_mfcc: MFCCs per frame.
        channels: Output channels of the five layers.
        kernels: Kernel sizes of the five layers, whose dilations are 1, 2, 3, 1, 1.
        embedding_dim: Size of the x-vector.
    """

    def __init__(
        self,
        n_mfcc: int,
        *,
        channels: Sequence[int] = CHANNELS,
        kernels: Sequence[int] = KERNELS,
        embedding_dim: int = EMBEDDING_DIM,
    ) -> None:
        super().__init__()
        below = (n_mfcc, *channels[:-1])
        self.tdnn = nn.Sequential(*map(Layer, below, channels, kernels, DILATIONS))
        self.embedding = nn.Linear(2 * channels[-1], embedding_dim)
        self.n_context = 1 + sum((kernel - 1) * step for kernel, step in zip(kernels, DILATIONS, strict=True))

    def forward(self, features: Tensor) -> Tensor:
        """x-vectors `(batch, embedding_dim)` of MFCCs `(batch, n_mfcc, n_frames)`, `n_frames >= n_context`."""
        frames = self.tdnn(features)
        deviation = frames.var(dim=2, correction=0).clamp_min(VARIANCE_FLOOR).sqrt()
        embedding: Tensor = self.embedding(torch.cat([frames.mean(dim=2), deviation], dim=1))
        return embedding


class XVector(nn.Module):
    """The x-vector of a whole utterance as its only frame; see `xvector`.

    Args:
        cepstra: Front end of the MFCCs, which subtracts their mean over the utterance.
        network: Network from MFCCs to the x-vector.
        weights: File name -> SHA-256 of the network's weights.
    """

    version = 1

    def __init__(self, cepstra: Spectral, network: Network, *, weights: dict[str, str]) -> None:
        super().__init__()
        self.cepstra = cepstra
        self.network = network
        self.weights = weights
        self.n_features = network.embedding.out_features
        self.hop_length = RECKONED
        self.min_samples = cepstra.min_samples + (network.n_context - 1) * cepstra.hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """Features `(batch, n_features, 1)` of waveforms `(batch, time)`.

        Raises:
            RuntimeError: The waveforms are shorter than `min_samples`.
        """
        if waveform.shape[1] < self.min_samples:
            raise RuntimeError(f"{waveform.shape[1]} samples; an x-vector needs {self.min_samples}")
        embedding: Tensor = self.network(self.cepstra(waveform))
        return embedding.unsqueeze(2)


def xvector(
    *,
    weights: str,
    n_mfcc: int = 30,
    n_mels: int = 30,
    n_fft: int = 512,
    win_length: int = 400,
    hop_length: int = 160,
    f_min: float = 20.0,
    f_max: float = 7600.0,
    pre_emphasis: float = 0.97,
) -> XVector:
    """The x-vector of an utterance as one frame; the published network gives 512 features.

    Use it with `input: {n_frames: 1}` and a backbone that takes one frame, such as `identity`. The MFCCs must be those
    of the network's training. The defaults have Kaldi's sizes for 16 kHz, but differ from Kaldi in four conventions:
    the logarithm is to base 10, the cepstra are not liftered, the window is a Hamming window, and the mean is taken
    over the whole utterance. The first two differences can be absorbed by the first layer: multiply the weights of
    coefficient n by `ln 10 * (1 + 11 sin(pi n / 22))`.

    Args:
        weights: File with the tensors that the module's docstring lists.
        n_mfcc: Coefficients that the network takes, c0 included.
        n_mels: Triangular mel filters.
        n_fft: Points of the FFT.
        win_length: Samples per window of the MFCCs.
        hop_length: Samples from one frame of MFCCs to the next.
        f_min: Lower edge of the first filter, Hz.
        f_max: Upper edge of the last filter, Hz.
        pre_emphasis: Coefficient in [0, 1] of the pre-emphasis filter; 0: no filter.

    Raises:
        InputError: The file cannot be read, or does not hold an x-vector network.
        ValueError: The options of the MFCCs are out of range or contradict each other.
    """
    cepstra = mfcc(
        n_mfcc=n_mfcc,
        n_mels=n_mels,
        n_fft=n_fft,
        win_length=win_length,
        hop_length=hop_length,
        f_min=f_min,
        f_max=f_max,
        pre_emphasis=pre_emphasis,
        deltas=False,
        mean_normalize=True,
    )
    path = Path(weights).expanduser()
    network = load(path, n_mfcc=n_mfcc)
    return XVector(cepstra, network, weights=digests([path])).requires_grad_(False).eval()


def random_network(
    *,
    n_mfcc: int = 30,
    channels: Sequence[int] = CHANNELS,
    kernels: Sequence[int] = KERNELS,
    embedding_dim: int = EMBEDDING_DIM,
    seed: int,
) -> Network:
    """Untrained network in evaluation mode. `xvector` can read its state dict from a file.

    The batch norms get random statistics, so that they change their input. No global generator is used.

    Args:
        n_mfcc: MFCCs per frame.
        channels: Output channels of the five layers.
        kernels: Kernel sizes of the five layers.
        embedding_dim: Size of the x-vector.
        seed: Seed of the weights.
    """
    with torch.device("meta"):
        network = Network(n_mfcc, channels=channels, kernels=kernels, embedding_dim=embedding_dim)
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, Tensor] = {}
    for name, shape in shapes(network).items():
        if len(shape) > 1:
            tensors[name] = nn.init.kaiming_normal_(torch.empty(shape), nonlinearity="relu", generator=generator)
        elif name.endswith(("norm.weight", "running_var")):
            tensors[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            tensors[name] = 0.1 * torch.randn(shape, generator=generator)
    return with_tensors(network, tensors)


def load(path: Path, *, n_mfcc: int) -> Network:
    """Network of a file, in evaluation mode and float32.

    No code in the file is run: a pickle may hold only tensors and plain data.

    Args:
        path: File with the tensors that the module's docstring lists.
        n_mfcc: MFCCs per frame.

    Raises:
        InputError: The file is missing, has another format, or has other tensors than an x-vector network; the message
            lists the expected tensors.
    """
    where = f"front_end: xvector: {path}"
    tensors = {
        name: tensor
        for name, tensor in read_tensors(path, where).items()
        if not name.endswith(".norm.num_batches_tracked")
    }
    with torch.device("meta"):  # allocates nothing: a damaged file may state sizes that its tensors do not have
        network = _network_of(tensors, n_mfcc)
    wrong = misfits(tensors, shapes(network))
    if wrong:
        raise InputError(
            f"{where}: not an x-vector network of {n_mfcc} MFCCs: {listed(wrong)}; it must have "
            "tdnn.{0..4}.convolution.{weight,bias}, tdnn.{0..4}.norm.{weight,bias,running_mean,running_var} and "
            "embedding.{weight,bias}; the input of a layer has the channels of the layer below, and the input of the "
            "embedding twice the channels of the last layer"
        )
    return with_tensors(network, float_tensors(tensors))


def _network_of(tensors: Mapping[str, object], n_mfcc: int) -> Network:
    """Network with the sizes of the given weights; the published sizes replace those of missing weights."""
    channels, kernels = list(CHANNELS), list(KERNELS)
    for index in range(len(DILATIONS)):
        match tensors.get(f"tdnn.{index}.convolution.weight"):
            case Tensor(shape=(n_out, _, kernel)) if n_out and kernel:
                channels[index], kernels[index] = n_out, kernel
    match tensors.get("embedding.weight"):
        case Tensor(shape=(embedding_dim, _)) if embedding_dim:
            pass
        case _:
            embedding_dim = EMBEDDING_DIM
    return Network(n_mfcc, channels=channels, kernels=kernels, embedding_dim=embedding_dim)

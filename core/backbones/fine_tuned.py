"""Fine-tuning: a pretrained encoder, whose top layers are trained, with one of FRAME_BACK_ENDS on its frames."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor, nn

from core import table
from core.backbones.layer_mix import LayerMix
from core.backbones.low_rank import adapt
from core.backbones.on_frames import FRAME_BACK_ENDS, LAYERED_BACKBONES
from core.errors import InputError
from core.features.transformer import Transformer, transformer
from core.table import Block


class FineTuned(nn.Module):
    """Waveforms `(batch, 1, time)` -> embeddings `(batch, embedding_dim)`; see `fine_tuned`.

    Everything of the encoder that is not trained stays in evaluation mode. Thus the library draws no SpecAugment and
    skips no layers; trained layers have the dropout of their configuration. No gradients are kept for what is frozen.

    The state dict has only what training changes, and the SHA-256 of the encoder's weights. The frozen tensors are
    those of the model, which is compared when a state is loaded.
    """

    def __init__(self, encoder: Transformer, back_end: nn.Module, mix: nn.Module, trained: Sequence[nn.Module]) -> None:
        """A network of an encoder and a back end.

        Args:
            encoder: The encoder. Those of its parameters that require gradients are trained.
            back_end: Network of the encoder's frames, or of their mix.
            mix: Learned mix of layers, or the identity.
            trained: Parts of the encoder that are in training mode while the network is trained.
        """
        super().__init__()
        self.encoder = encoder
        self.mix = mix
        self.back_end = back_end
        self.trained = tuple(trained)
        self.embedding_dim: int = cast(Any, back_end).embedding_dim
        digest = torch.tensor(list(_digest(encoder.weights)), dtype=torch.uint8)
        self.register_buffer("encoder_digest", digest)
        self.frozen = _frozen(encoder, self.trained)
        self.train(self.training)

    def forward(self, features: Tensor) -> Tensor:
        frames = self.encoder(features.squeeze(1)).float()  # sums over time do not fit float16
        return cast(Tensor, self.back_end(self.mix(frames)))

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of what is trained; the rest of the encoder stays in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        for module in self.trained:
            module.train(mode)
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The tensors of a state, without those of the encoder that stay as they are."""
        prefix = kwargs.get("prefix", "")
        tensors: dict[str, Any] = super().state_dict(*args, **kwargs)
        for name in self.frozen:
            del tensors[f"{prefix}{name}"]
        return tensors

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        saved, own = state_dict.get(f"{prefix}encoder_digest"), cast(Tensor, self.encoder_digest)
        if saved is not None and saved.tolist() != own.tolist():
            raise InputError(
                f"front_end: waveform: the weights of the encoder have SHA-256 {bytes(own.tolist()).hex()}; the "
                f"detector was trained with {bytes(saved.tolist()).hex()}"
            )
        tensors = super().state_dict()
        state_dict.update({f"{prefix}{name}": tensors[name] for name in self.frozen})
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def fine_tuned(
    n_features: int,
    n_frames: int,
    model: str,
    revision: str | None,
    *,
    layer: int | None = None,
    layers: list[int] | Literal["all"] | None = None,
    top_layers: int = 4,
    lr_factor: float = 0.1,
    lora_rank: int = 0,
    recompute: bool = False,
    back_end: str = "ssl_aasist",
    embedding_dim: int | None = None,
) -> FineTuned:
    """A pretrained speech encoder whose top layers are trained together with a back end on its frames.

    Fine-tuned encoders with a graph back end (`ssl_aasist`) were proposed by Tak et al. (2022, "Automatic speaker
    verification spoofing and deepfake detection using wav2vec 2.0 and data augmentation"), who train all layers.

    Args:
        n_features: 1: the input is a waveform.
        n_frames: Number of its samples.
        model: Encoder, as in the front end `transformers`.
        revision: Branch, tag or commit on the hub; None: the default branch.
        layer: Index of the hidden state that the back end reads, as in the front end `transformers`; None: the last.
            Layers above are not computed.
        layers: Indices of several hidden states, or `all`; an alternative to `layer`. The back ends `mhfa` and `sls`
            take all of them, the others their mix with learned weights.
        top_layers: Number of the computed transformer layers, counted from the top, that are trained; 0 = none. The
            convolutions and everything else below the first transformer layer are never trained.
        lr_factor: Learning rate of the encoder relative to that of the back end, positive.
        lora_rank: Rank of low-rank adapters (LoRA, Hu et al. 2022) in all linear layers of the top layers, which are
            trained instead of the layers' own weights; 0 = no adapters.
        recompute: Whether the activations of the trained layers are computed again for their gradients, which takes
            more time and less memory (gradient checkpointing).
        back_end: Row of FRAME_BACK_ENDS, with its default sizes.
        embedding_dim: Size of the embedding; None: that of the back end.

    Raises:
        InputError: The model cannot be found or read, or has no such layer.
        ValueError: The input is not a waveform or too short, the model has fewer layers than are to be trained, or an
            option is outside the range above.
    """
    if n_features != 1:
        raise ValueError(f"the input is a waveform, with 1 feature per frame; it has {n_features}")
    if top_layers < 0 or lora_rank < 0:
        raise ValueError(f"top_layers is {top_layers} and lora_rank is {lora_rank}; they must be at least 0")
    if lr_factor <= 0:
        raise ValueError(f"lr_factor is {lr_factor}; it must be positive")
    problem = table.name_problem("back_end", FRAME_BACK_ENDS, back_end)
    if problem:
        raise ValueError(problem)
    if layer is not None and layers is not None:
        raise ValueError("`layer` or `layers` can be given, not both")
    encoder = transformer(model=model, layer=layer, layers=layers, revision=revision)
    if n_frames < encoder.min_samples:
        raise ValueError(f"n_frames is {n_frames}; a frame of the encoder needs {encoder.min_samples} samples")
    trained = _trained(encoder, top_layers, lora_rank)
    encoder.lr_factor = lr_factor
    if recompute:
        _recompute(encoder)
    n_layers = len(encoder.layers)
    context = [encoder.n_features, 1 + (n_frames - encoder.min_samples) // encoder.hop_length]
    mixed = n_layers > 1 and back_end not in LAYERED_BACKBONES
    options = {} if embedding_dim is None else {"embedding_dim": embedding_dim}
    on_frames = table.build(
        "back_end",
        FRAME_BACK_ENDS,
        Block(back_end, options),
        *(context if back_end not in LAYERED_BACKBONES else [*context, n_layers]),
    )
    return FineTuned(encoder, on_frames, LayerMix(n_layers, normalize=False) if mixed else nn.Identity(), trained)


def _trained(encoder: Transformer, top_layers: int, lora_rank: int) -> list[nn.Module]:
    """The parts of an encoder that are trained, from now on with gradients: its top layers, and a norm behind them.

    Raises:
        ValueError: The encoder has fewer layers, or they are too narrow for the adapters.
    """
    computed = list(cast(nn.ModuleList, encoder.model.get_submodule(encoder.family.layers)))
    if top_layers > len(computed):
        raise ValueError(
            f"top_layers is {top_layers}; {len(computed)} transformer layers are computed for the hidden states that "
            "are read"
        )
    trained = computed[len(computed) - top_layers :]
    if lora_rank:
        for part in trained:
            adapt(part, lora_rank)
        return trained
    norm = encoder.family.norm
    if (
        trained
        and norm is not None
        and len(computed) == encoder.n_layers
        and encoder.family.has_norm(encoder.model.config)
    ):
        trained.append(encoder.model.get_submodule(norm))
    for part in trained:
        part.requires_grad_(True)
    return trained


def _recompute(encoder: Transformer) -> None:
    """Makes the trained layers of an encoder keep no activations for their gradients."""
    network: Any = encoder.model
    # Releases of the library before 5.15 have the older name only; later ones warn about it.
    enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def _frozen(encoder: Transformer, trained: Sequence[nn.Module]) -> tuple[str, ...]:
    """Names in the state dict of a network with this encoder of the encoder's tensors that training does not change."""
    learned = {id(parameter) for parameter in encoder.parameters() if parameter.requires_grad}
    counted = {id(buffer) for part in trained for buffer in part.buffers()}  # such as the statistics of a batch norm
    tensors = encoder.state_dict(prefix="encoder.", keep_vars=True)
    return tuple(name for name, tensor in tensors.items() if id(tensor) not in learned | counted)


def _digest(weights: Mapping[str, str]) -> bytes:
    """SHA-256 of an encoder's weights: that of the file, or of the sorted digests of several files."""
    values = sorted(weights.values())
    if len(values) == 1:
        return bytes.fromhex(values[0])
    return hashlib.sha256("\n".join(values).encode()).digest()

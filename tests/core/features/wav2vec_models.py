"""Small wav2vec networks, and what a checkpoint of theirs holds where fairseq wrote it."""

import argparse

import torch

from core.features.wav2vec import random_wav2vec
from core.features.wav2vec_network import Wav2Vec, Wav2VecConfig, wav2vec_tiny

# Encoder with a residual, context with a projected one: every branch of the network.
BRANCHED = Wav2VecConfig(
    encoder=((8, 10, 5), (8, 4, 2), (12, 4, 2)),
    context=((12, 2, 1), (16, 3, 1), (16, 4, 1)),
    activation="gelu",
    log_compression=False,
    skip_encoder=True,
    residual_scale=0.7,
    context_zero_padding=True,
    context_bias=False,
    affine_norm=False,
    prediction_steps=3,
)
CONFIGS = {"tiny": wav2vec_tiny(), "with head": wav2vec_tiny(prediction_steps=12), "branched": BRANCHED}


def noise(batch: int = 1, time: int = 4000) -> torch.Tensor:
    return 0.1 * torch.randn(batch, time, generator=torch.Generator().manual_seed(3))


def unlike_new(config: Wav2VecConfig, seed: int = 0) -> Wav2Vec:
    """A network whose norms and biases are random too, so that forgetting one of them would show."""
    model = random_wav2vec(config, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def fairseq_names(model: Wav2Vec) -> dict[str, torch.Tensor]:
    """The network's tensors under fairseq's names."""
    norm_and_convolution = {"encoder": {"convolution": "0", "norm": "2"}, "context": {"convolution": "1", "norm": "3"}}
    parts = {"encoder": "feature_extractor", "context": "feature_aggregator"}
    renamed = {}
    for name, tensor in model.state_dict().items():
        part, *rest = name.split(".")
        if part == "prediction_head":
            renamed[f"wav2vec_predictions.project_to_steps.{rest[0]}"] = tensor
        elif rest[1] == "projection":
            renamed[f"feature_aggregator.residual_proj.{rest[0]}.weight"] = tensor
        else:
            position = norm_and_convolution[part][rest[1]]
            renamed[f"{parts[part]}.conv_layers.{rest[0]}.{position}.{rest[2]}"] = tensor
    return renamed


def fairseq_arguments(config: Wav2VecConfig, **changes: object) -> argparse.Namespace:
    named = {
        "arch": "wav2vec",
        "conv_feature_layers": str(list(config.encoder)),
        "conv_aggregator_layers": str(list(config.context)),
        "activation": config.activation,
        "log_compression": config.log_compression,
        "skip_connections_feat": config.skip_encoder,
        "skip_connections_agg": config.skip_context,
        "residual_scale": config.residual_scale,
        "agg_zero_pad": config.context_zero_padding,
        "no_conv_bias": not config.context_bias,
        "non_affine_group_norm": not config.affine_norm,
        "aggregator": "cnn",
        "lr": [1e-3],
        **changes,
    }
    return argparse.Namespace(**{name: value for name, value in named.items() if value is not None})

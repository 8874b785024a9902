"""Small models of every family of the library transformers, with random weights, saved as the library saves them."""

from pathlib import Path

import torch
import transformers

from tests.core.features.pretrained.models import random_tensors

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
CONVOLUTIONS = {
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}
CONFORMER = {"conv_depthwise_kernel_size": 3, "max_source_positions": 100}
MODELS = {
    "wav2vec2": ("Wav2Vec2", CONVOLUTIONS),
    "wav2vec2, stable": ("Wav2Vec2", CONVOLUTIONS | STABLE),
    "wav2vec2-conformer": ("Wav2Vec2Conformer", CONVOLUTIONS | CONFORMER),
    "wav2vec2-bert": ("Wav2Vec2Bert", {**CONFORMER, "feature_projection_input_dim": 16}),
    "hubert": ("Hubert", CONVOLUTIONS),
    "wavlm": ("WavLM", CONVOLUTIONS | {"num_buckets": 32, "max_bucket_distance": 16}),
    "data2vec-audio": ("Data2VecAudio", CONVOLUTIONS | {"conv_pos_kernel_size": 3, "num_conv_pos_embeddings": 2}),
    "unispeech": ("UniSpeech", CONVOLUTIONS | STABLE),
    "unispeech-sat": ("UniSpeechSat", CONVOLUTIONS),
    "sew": ("SEW", CONVOLUTIONS),
    "sew-d": ("SEWD", CONVOLUTIONS | {"position_buckets": 16, "max_position_embeddings": 32}),
    "audio-spectrogram-transformer": (
        "AST",
        {"num_mel_bins": 36, "max_length": 66, "frequency_stride": 10, "time_stride": 10, "patch_size": 16},
    ),
}
"""Family, and variant -> prefix of the library's classes, and sizes of a small model."""

EXTRACTORS = {
    "wav2vec2-bert": lambda: transformers.SeamlessM4TFeatureExtractor(
        feature_size=8, num_mel_bins=8, padding_value=1.0
    ),
    "audio-spectrogram-transformer": lambda: transformers.ASTFeatureExtractor(num_mel_bins=36, max_length=66),
}


def saved_family(name: str, folder: Path) -> Path:
    """A folder with a model of a family, of three layers and 16 features per frame."""
    prefix, sizes = MODELS[name]
    config = getattr(transformers, f"{prefix}Config")(**SIZES, **sizes)
    model = getattr(transformers, f"{prefix}Model")(config)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items() if tensor.is_floating_point()}
    with torch.no_grad():
        model.load_state_dict(random_tensors(shapes, seed=7), strict=False)
    model.save_pretrained(folder)
    extractor = EXTRACTORS.get(name, lambda: transformers.Wav2Vec2FeatureExtractor(do_normalize=name != "hubert"))
    extractor().save_pretrained(folder)
    return folder

"""Pretrained encoders as front ends, one module each, and what they share.

- `distillmos`, `whisper`: encoders of frames. `resemblyzer`: one embedding per utterance.
- `families`: the encoders of the library transformers, as data for `core.features.transformer`.
- `hub`, `ctranslate2`: where models come from. `mels`, `segments`: what goes in.
"""

"""Pretrained encoders as front ends, one module each, and what they share.

- `distillmos`, `whisper`: encoders of frames. `resemblyzer`: one embedding per utterance.
- `segments`: audio that is longer than an encoder accepts.
"""

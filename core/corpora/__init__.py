"""Corpora: which utterances there are, who spoke them, and which attack made the spoofed ones.

- `corpus`: utterances, partitions, and a corpus that refuses to open eval.
- `layouts`: CORPORA, the layouts in which corpora lie on disk.
- `copies`: vocoded, distorted and coded copies of train's utterances.
"""

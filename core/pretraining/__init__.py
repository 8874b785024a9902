"""Pretraining of wav2vec (version 1) on speech without labels (paper, section 2).

- `pretrain`: the training, epoch by epoch.
- `loss`: the prediction loss, equations (1) and (2).
- `speech`: stretches of recordings, which form the minibatches.
"""

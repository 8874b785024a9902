"""The Siamese network: pairs of utterances, losses on their embeddings, the two towers with shared weights.

- `pairs`: PAIRS, samplers of random and hard pairs (paper, section 4).
- `losses`: LOSSES on embeddings, equation (3) and others.
- `network`: the network (paper, figure 1).
"""

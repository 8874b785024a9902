"""Evaluation of detectors: scores, error rates with their intervals, and the metrics that rank trials.

- `metrics`: EER, AUC, DET curve; `detection_cost`: min and act DCF, Cllr; `calibration`: log-likelihood ratios.
- `tandem`: min t-DCF of 2019 and 2021; `spoof_aware`: t-EER and a-DCF of ASVspoof 5.
- `intervals`: confidence intervals of an EER over utterances and speakers; `comparison`: paired tests of two systems.
- `measure`: every metric of one set of scores.
- `timeline`: scores over time; `localisation`: error rates by segment against labelled parts of recordings.
- `objectives`: OBJECTIVES, the metrics that a search can minimise; `judgement`: the value of an epoch.
- `folds`: VALIDATIONS, how a corpus is divided into training and validation.
- `score_file`: score files of the ASVspoof organisers; `score_lines`: their lines; `words`: names with white space.
- `key_file`: keys of scored utterances from the protocol of a corpus.
- `projection`: t-SNE of embeddings.
"""

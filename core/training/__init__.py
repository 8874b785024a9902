"""Training: from feature stores and an experiment to a detector.

- `fit`: trains one experiment, epoch by epoch, from a checkpoint where there is one; `fit_network` trains its network
  and its classifier, `fit_state` keeps what a checkpoint holds.
- `fit_folds`: trains one experiment and its folds in step.
- `modes`: the objective that every mode of an experiment minimises.
- `best_epoch`, `averaging`, `prefetch`: the best epoch so far, the mean of the last epochs' weights, minibatches read
  ahead.
"""

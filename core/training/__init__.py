"""Training: from feature stores and an experiment to a detector.

- `fit`: trains one experiment epoch by epoch, or resumes from a checkpoint. `fit_network` trains the network and the
  classifier. `fit_state` assembles the content of a checkpoint.
- `fit_folds`: trains one experiment and its folds in step.
- `modes`: the objective that every mode of an experiment minimises.
- `best_epoch`: the best epoch so far.
- `averaging`: the mean of the last epochs' weights.
- `prefetch`: minibatches read ahead by a thread.
"""

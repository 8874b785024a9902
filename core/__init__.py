"""The science in PyTorch: corpora, features, training and scoring. It imports no Ray, no Optuna, no command line."""

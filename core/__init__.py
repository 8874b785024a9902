"""The science: corpora, features, Siamese training and scoring in PyTorch. Knows no Ray, no Optuna, no command line."""

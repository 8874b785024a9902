"""Checksums of files that are text: `seal`. Those of checkpoints are in `core.checkpoint`."""

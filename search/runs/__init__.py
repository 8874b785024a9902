"""Runs: the results of searches on disk, and how they are read.

- `run`: the folder of a run.
- `trial_folder`: the trials of a search or of a confirmation; `journal`: the record of their epochs and ends.
- `lease`: one process owns a run; `owner`: that process; `lease_files`: where the lease lies.
- `storage`: the folder or URL of runs and feature stores; `retry`: repeats a write when a storage fails for a while.
- `interruption`: SIGTERM and Ctrl-C, and how to continue after them.
- `scratch`: temporary folders that do not outlive their process.
- `confirmed`: configurations trained again with fresh seeds, and the selection of the detector to export.
- `warm_start`: trials of earlier runs for the sampler of a new search.
- `describe`: trials, values and times as text.
"""

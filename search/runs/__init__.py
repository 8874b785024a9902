"""Runs: what a search leaves on disk, and how it is read again.

- `run`: the folder of a run; `trial_folder`: trials on disk, of a search or a confirmation; `journal`: their record.
- `storage`: the folder or URL that holds runs and feature stores; `retry`: writes that wait for a lost storage.
- `confirmed`: configurations trained again with fresh seeds, and which detector is exported.
- `warm_start`: trials of earlier runs.
- `describe`: trials, values and times as text.
"""

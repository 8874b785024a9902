"""Reports and exports of a run.

- `export`: from a trial to a bundle.
- `report`: writes the tables and figures of a run.
- `scoring`: scores trials on partitions; `evaluate`: metrics of a score file.
- `tables`, `score_figures`, `search_figures`, `importance`: parts of a report.
- `paper`: the tables of the paper.
"""

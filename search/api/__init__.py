"""The Python API, which `import spooftune` offers.

- `detector`: a bundle that scores recordings and arrays; `recordings`: what a caller may pass as a recording.
- `run`: runs as tables, and searches.
"""

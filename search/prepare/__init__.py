"""Preparation of a search: checks, feature stores, nodes.

- `plan`: what a search of a space needs and trains; `checks`: mistakes in a space that only show with its corpus.
- `early`: what later stages would lack, asked before anything slow is loaded.
- `stores`: feature stores, extracted if they are missing; `distributed_extraction`: extraction by all nodes.
- `identity`: corpus and weights of a run, by content, which every later stage compares.
- `preflight`: checks every node of a cluster.
"""

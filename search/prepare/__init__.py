"""Preparation of a search: checks, feature stores, nodes.

- `plan`: what a space would do; `checks`: what can be wrong with it.
- `stores`: feature stores, extracted where they are missing; `distributed_extraction`: by all nodes of a cluster.
- `preflight`: checks every node of a cluster.
"""

"""Feature stores: the features of a partition on disk, extracted once and shared by every trial.

- `store`: the store, which trials map into memory; `inputs`: the layers and windows that are read of it.
- `key`: the settings that determine a store; `contents`: digests of recordings, computed once.
- `extraction`: from recordings to a store; `shards`: the files of a store.
"""

//! A shard, held against models that are too simple to be wrong.

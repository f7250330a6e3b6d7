NEEDS.stage/purge := cli manifest http store hash shard

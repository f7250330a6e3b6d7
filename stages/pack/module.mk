NEEDS.stage/pack := base io cli manifest hash image shard

NEEDS.shard := base io manifest hash image

NEEDS.shard := base io manifest hash image
LIBS.shard := -lxxhash

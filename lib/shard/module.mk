NEEDS.shard := base io manifest image
LIBS.shard := -lxxhash

NEEDS.stage/train := cli manifest model shard image net tensor hash io base

NEEDS.stage/train := cli dist manifest model shard image net tensor hash io base

NEEDS.stage/train := cli dist manifest model vector shard image net tensor hash io base

NEEDS.stage/embed := cli manifest model vector shard image net tensor hash io base

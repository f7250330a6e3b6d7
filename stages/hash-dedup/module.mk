NEEDS.stage/hash-dedup := cli manifest hash

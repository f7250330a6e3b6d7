NEEDS.stage/feature-dedup := cli manifest hash image store dedup vector

NEEDS.stage/phash-dedup := cli manifest hash image store dedup

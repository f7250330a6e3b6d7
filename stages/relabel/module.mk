NEEDS.stage/relabel := cli manifest metric

NEEDS.stage/mine-errors := cli manifest metric

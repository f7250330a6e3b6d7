NEEDS.stage/collect-reports := cli manifest metric

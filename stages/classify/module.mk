NEEDS.stage/classify := cli manifest image net model

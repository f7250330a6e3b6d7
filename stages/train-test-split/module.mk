NEEDS.stage/train-test-split := cli manifest

NEEDS.stage/eval := cli manifest metric model net shard image

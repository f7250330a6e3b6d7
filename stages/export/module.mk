NEEDS.stage/export := cli manifest net onnx model shard metric page

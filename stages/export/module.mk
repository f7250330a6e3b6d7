NEEDS.stage/export := cli image manifest net onnx model shard metric page

NEEDS.model := base dist io hash net onnx shard tensor image

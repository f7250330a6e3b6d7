NEEDS.model := base io hash net shard tensor image

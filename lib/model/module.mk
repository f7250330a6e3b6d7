NEEDS.model := base dist io hash net shard tensor image

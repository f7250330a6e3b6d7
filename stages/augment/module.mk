NEEDS.stage/augment := base io cli manifest hash image store

# What the stages that take near duplicates out have in common, once each has found its near pairs.
NEEDS.dedup := base io cli manifest hash image page store

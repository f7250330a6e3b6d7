# Measures of a classifier and of its labels: what eval, mine-errors and relabel share.
NEEDS.metric := base io manifest

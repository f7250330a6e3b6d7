# Measures of a classifier and of its labels: what eval, mine-errors, relabel and export share.
NEEDS.metric := base io manifest

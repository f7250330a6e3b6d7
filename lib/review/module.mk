# What reviewers decided about labels.
NEEDS.review := base io manifest metric

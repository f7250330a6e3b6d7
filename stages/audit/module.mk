NEEDS.stage/audit := base io cli manifest metric page

NEEDS.stage/demo-corpus := base io cli manifest image hash

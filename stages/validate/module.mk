NEEDS.stage/validate := base io cli manifest image store

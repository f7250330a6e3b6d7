NEEDS.stage/manifest := base io cli manifest page

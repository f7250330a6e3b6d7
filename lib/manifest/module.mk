NEEDS.manifest := base io cli

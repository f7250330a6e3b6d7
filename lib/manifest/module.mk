NEEDS.manifest := base io

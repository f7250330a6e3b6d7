NEEDS.cli := base io

NEEDS.io := base

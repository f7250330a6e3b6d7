NEEDS.dist := base io
LIBS.dist := -ldl

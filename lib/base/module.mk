NEEDS.base :=
LIBS.base := -ldl

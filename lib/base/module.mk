NEEDS.base :=
LIBS.base :=

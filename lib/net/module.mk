NEEDS.net := base io hash
LIBS.net := -lcjson -lhdf5_serial

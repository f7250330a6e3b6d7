NEEDS.net := base io hash
# Debian keeps the serial HDF5 in a folder of its own; elsewhere it is plain -lhdf5.
NET_HDF5 := $(shell pkg-config --exists hdf5-serial 2>/dev/null && echo hdf5-serial || echo hdf5)
CFLAGS.net := $(shell pkg-config --cflags $(NET_HDF5) libcjson zlib 2>/dev/null)
LIBS.net := $(shell pkg-config --libs $(NET_HDF5) libcjson zlib 2>/dev/null || echo -lhdf5 -lcjson -lz)

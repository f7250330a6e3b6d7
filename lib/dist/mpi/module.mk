# MPI: a plug-in (winnow-mpi.so) that lib/dist opens when train is started by mpirun. Built where an MPI's headers are; pkg-config knows
# OpenMPI as ompi-c.
MPI_CFLAGS := $(shell pkg-config --cflags ompi-c 2>/dev/null)
MPI_LIBS := $(shell pkg-config --libs ompi-c 2>/dev/null)
ifeq ($(MPI_LIBS),)
OFF.dist/mpi := no OpenMPI (pkg-config ompi-c; Debian: libopenmpi-dev)
endif

PLUGIN.dist/mpi := winnow-mpi.so
NEEDS.dist/mpi := base
CFLAGS.dist/mpi := $(patsubst -I%,-isystem %,$(MPI_CFLAGS)) -fvisibility=hidden
LIBS.dist/mpi := $(MPI_LIBS) -ldl

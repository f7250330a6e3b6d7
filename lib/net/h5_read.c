#include "net/internal.h"
int net_read_h5(struct net *n, const char *path, bool header_only, struct error *err)
{
    *n = NET_EMPTY;
    return error_set(err, EX_SOFTWARE, "'%s': Keras HDF5 files cannot be read yet", path);
}

#include "export.h"
int export_demo(struct export *x, struct error *err)
{
    (void)x;
    return error_set(err, EX_UNAVAILABLE, "--to demo is being written");
}

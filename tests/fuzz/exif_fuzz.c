/* needs: base io hash manifest image */
/* exif_fuzz.c: the EXIF reader, on bytes in a block of just their size. */
#include <stdlib.h>
#include <string.h>

#include "image/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    for (int rule = ORIENT_BROWSER; rule <= ORIENT_NONE; rule++) {
        int orientation = exif_orientation(copy, size, (enum orientation_rule)rule);
        if (orientation < 1 || orientation > 8) abort();
    }
    free(copy);
    return 0;
}

/* needs: base io hash image */
/* xmp_fuzz.c: an XMP packet, in the last chunk of a WebP whose block ends with it. */
#include <stdlib.h>
#include <string.h>

#include "image/markers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t head[20] = "RIFF....WEBPXMP ";
    uint8_t *file = malloc(sizeof head + size);
    if (!file) return 0;
    for (int i = 0; i < 4; i++)
        head[16 + i] = (uint8_t)(size >> 8 * i);
    memcpy(file, head, sizeof head);
    if (size) memcpy(file + sizeof head, data, size);
    if (image_markers(file, sizeof head + size) & (1u << MARKER_C2PA | 1u << MARKER_C2PA_MODEL)) abort();
    free(file);
    return 0;
}

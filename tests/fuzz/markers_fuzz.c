/* needs: base io hash image */
/* markers_fuzz.c: containers, C2PA boxes and XMP packets, in a block of just the file's size. */
#include <stdlib.h>
#include <string.h>

#include "image/markers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char words[MARKERS_TEXT_BYTES];
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    uint32_t set = image_markers(copy, size);
    if (set >> IMAGE_MARKERS || (*image_markers_text(words, set) != 0) != (set != 0)) abort();
    free(copy);
    return 0;
}

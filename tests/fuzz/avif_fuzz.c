/* needs: base io hash manifest image */
/* avif_fuzz.c: the AVIF decoder, header and pixels. The last byte picks options. */
#include "image_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return image_fuzz_one(data, size, IMAGE_AVIF);
}

/* needs: base io hash manifest image */
/* augment_fuzz.c: first byte s: a specification, drawn from and applied; else parameters as manifests carry
 * them, applied. */
#include <stdlib.h>
#include <string.h>

#include "../unit/augment_params.h"
#include "image/augment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct augment_spec spec = AUGMENT_NONE;
    struct augment_params p, again;
    struct augment_scratch scratch = AUGMENT_SCRATCH_EMPTY;
    struct image in = IMAGE_EMPTY, out = IMAGE_EMPTY;
    struct error err = {0};
    char text[600], shown[AUGMENT_TEXT_BYTES];
    if (size < 1 || size >= sizeof text) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    if (data[0] == 's') {
        if (augment_spec_parse(text, &spec, &err)) return err.code ? 0 : (abort(), 0);
        augment_draw(&spec, 1, "0123456789abcdef0123456789abcdef", 3, &p);
    } else if (augment_params_parse(text, &p, &err)) {
        return err.code ? 0 : (abort(), 0);
    }
    augment_params_text(&p, shown);
    if (data[0] == 's' && (augment_params_parse(shown, &again, &err) || memcmp(&p, &again, sizeof p)))
        abort(); /* what was drawn can be made again */
    if (image_reserve(&in, 13, 9, 3, &err) == 0) {
        for (size_t i = 0; i < image_bytes(&in); i++)
            in.pixels[i] = (uint8_t)(i * 7);
        if (augment_apply(&p, &spec, &in, &out, &scratch, &err)) abort();
    }
    image_release(&in);
    image_release(&out);
    augment_scratch_release(&scratch);
    return 0;
}

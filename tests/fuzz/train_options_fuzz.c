/* needs: model */
/* train_options_fuzz.c: the words that --schedule takes: whatever they are, rates are finite numbers that are
 * not negative. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/lr_schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct schedule s;
    struct error err = {0};
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (!schedule_parse(&s, text, 0.1, 40, (double)(size % 7), &err))
        for (double epoch = 0; epoch <= 40; epoch += 0.25) {
            double rate = schedule_rate(&s, epoch);
            if (!isfinite(rate) || rate < 0) abort();
        }
    free(text);
    return 0;
}

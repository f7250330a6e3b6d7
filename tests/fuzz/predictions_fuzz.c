/* Predictions, and all that is made of them: no input may do more than be refused. */
/* needs: base io manifest metric cli */
#include <stdlib.h>

#include "metric/classification.h"
#include "metric/label_errors.h"
#include "metric/predictions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct predictions p;
    struct error err = {0};
    struct predictions_options o = {.auto_slices = true, .keep_path_keys = true};
    if (size > 1 << 16 || predictions_read_memory(&p, (const char *)data, size, &o, &err)) return 0;
    struct label_errors_input in = {p.n_rows, p.n_classes, p.p, p.label, p.keys};
    struct label_errors e;
    if (p.n_classes <= 40 && !label_errors_estimate(&e, &in, &err)) {
        uint8_t *flagged = malloc(p.n_rows);
        for (int f = 0; flagged && f < FILTER_COUNT; f++)
            if (label_errors_filter(&e, &in, (enum label_filter)f, &LABEL_FILTER_DEFAULTS, flagged, &err))
                abort();
        int64_t sum = 0;
        for (int i = 0; i < p.n_classes * p.n_classes; i++)
            sum += e.confident[i];
        if (sum != (int64_t)p.n_rows) abort();
        free(flagged);
        label_errors_release(&e);
    }
    struct classification c;
    struct temperature_fit t;
    if (!classification_measure(&c, p.p, p.label, p.pred, p.n_rows, p.n_classes, &err)) {
        if (!(c.accuracy >= 0 && c.accuracy <= 1)) abort();
        classification_release(&c);
    }
    if (!temperature_fit(&t, p.z, p.p, p.label, p.n_rows, p.n_classes, 1, &err) &&
        !(t.temperature >= 0.049 && t.temperature <= 20.01))
        abort();
    predictions_release(&p);
    return 0;
}

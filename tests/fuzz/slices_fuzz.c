/* Slices files, which strangers' reports become: many to many, by id or path. */
/* needs: base io manifest metric cli */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metric/predictions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "path\tid\tlabel\tp_a\tp_b\nx.jpg\t00000000000000000000000000000001\ta\t0."
                               "5\t0.5\ny.jpg\t7\tb\t0\t1\n";
    struct predictions_options o = {.keep_path_keys = true};
    struct predictions p;
    struct error err = {0};
    char path[64];
    size_t n_unknown;
    FILE *f = tmpfile();
    if (!f) return 0;
    if (predictions_read_memory(&p, text, sizeof text - 1, &o, &err)) abort();
    fwrite(data, 1, size, f);
    fflush(f);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(f));
    if (!predictions_add_slices(&p, path, &n_unknown, &err))
        for (size_t i = 0; i < p.n_slices; i++)
            for (size_t j = 0; j < p.slices[i].n_rows; j++)
                if (p.slices[i].rows[j] >= p.n_rows || (j && p.slices[i].rows[j] <= p.slices[i].rows[j - 1]))
                    abort();
    predictions_release(&p);
    fclose(f);
    return 0;
}

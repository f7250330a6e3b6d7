/* needs: vector */
/*
 * vector_folder_fuzz.c: what embed writes, from a stranger. First byte 'n': the head of a .npy file; 'i': an
 * info.tsv; otherwise a reduce.fit. What is read is within the limits, and a fit that was read can be
 * applied.
 */
#include <stdlib.h>
#include <string.h>

#include "vector/vector_folder.h"
#include "vector/vector_reduce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_head(const char *bytes, size_t n)
{
    struct error err = {0};
    size_t n_head, n_rows, n_values;
    bool half;
    if (npy_read_head(bytes, n, "f.npy", &n_head, &half, &n_rows, &n_values, &err)) {
        if (err.code != EX_DATAERR) abort();
    } else if (n_head > n) {
        abort();
    }
}

static void fuzz_info(const char *bytes, size_t n)
{
    struct error err = {0};
    struct vector_info info;
    char *text = malloc(n + 1);
    if (!text) return;
    memcpy(text, bytes, n);
    text[n] = 0;
    if (vector_info_read_memory(&info, text, "info.tsv", &err)) {
        if (err.code != EX_DATAERR) abort();
    } else if (info.n_values > VECTOR_MAX_VALUES || strlen(info.base) != 32) {
        abort();
    }
    free(text);
}

static void fuzz_fit(const char *bytes, size_t n)
{
    struct error err = {0};
    struct vector_fit f;
    if (vector_fit_read_memory(&f, bytes, n, "reduce.fit", &err)) {
        if (err.code != EX_DATAERR) abort();
        return;
    }
    float *in = calloc(f.n_values, sizeof *in), *scratch = calloc(f.n_values, sizeof *in),
          *out = calloc(f.n_components + 1, sizeof *out);
    if (!in || !scratch || !out) abort();
    vector_fit_apply(&f, in, out, scratch);
    free(in);
    free(scratch);
    free(out);
    vector_fit_release(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 100000) return 0;
    const char *rest = (const char *)data + 1;
    if (data[0] == 'n')
        fuzz_head(rest, size - 1);
    else if (data[0] == 'i')
        fuzz_info(rest, size - 1);
    else
        fuzz_fit(rest, size - 1);
    return 0;
}

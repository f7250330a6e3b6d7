/* needs: http */
/* tdmrep.json: the first line of the input is the path, the rest the file, in a block of just its size. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/tdmrep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tdmrep t;
    struct error err = {0};
    const uint8_t *lf = memchr(data, '\n', size);
    size_t n = lf ? (size_t)(lf - data) : size, n_file = lf ? size - n - 1 : 0;
    char *path = malloc(n + 1), *file = malloc(n_file ? n_file : 1);
    if (!path || !file) abort();
    memcpy(path, data, n);
    path[n] = 0;
    if (n_file) memcpy(file, lf + 1, n_file);
    int got = tdmrep_parse(&t, file, n_file, &err);
    if (got < 0 || (got == 0 && t.n_rules != 0) || t.n_rules > n_file / 2) abort();
    uint32_t set = tdmrep_match(&t, path);
    if (set & ~(RIGHTS_BIT(RIGHTS_TDM_1_FILE) | RIGHTS_BIT(RIGHTS_TDM_0_FILE))) abort();
    tdmrep_release(&t);
    free(path);
    free(file);
    return 0;
}

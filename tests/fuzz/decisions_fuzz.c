/* Reviewers' decisions: a file that came by mail. */
/* needs: base io manifest metric review cli */
#include <stdlib.h>

#include "review/decisions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decisions d = DECISIONS_EMPTY;
    struct error err = {0};
    if (!decisions_read_memory(&d, (const char *)data, size, &err)) {
        struct reviewer_agreement *a = NULL;
        size_t n;
        decisions_sort(&d);
        for (size_t i = 0; i < d.n; i++) {
            const struct decision *x = decisions_find(&d, &d.items[i].key, &n);
            if (!x || n == 0 || d.items[i].kind >= DECISION_KINDS) abort();
            decisions_conflict(x, n);
        }
        if (d.n < 200 && !decisions_agreement(&d, &a, &n, &err)) free(a);
    }
    decisions_release(&d);
    return 0;
}

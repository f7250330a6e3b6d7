/*
 * net_decisions_fuzz.c: the thresholds in the metadata of a stranger's model folder. The input is the JSON
 * that holds "decisions". What can be read decides every score, and is the same after it was written and read
 * again.
 */
/* needs: net io base */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/net_decisions.h"

static bool same_promise(const struct net_promise *a, const struct net_promise *b)
{
    return a->given == b->given &&
           (!a->given ||
            (a->rate == b->rate && a->confidence == b->confidence && a->bound == b->bound && a->n == b->n &&
             a->missed == b->missed && a->test_n == b->test_n && a->test_missed == b->test_missed));
}

static void check_same(const struct net_decisions *a, const struct net_decisions *b)
{
    if (a->n_views != b->n_views || a->temperature != b->temperature || strcmp(a->date, b->date) != 0 ||
        strcmp(a->model_id, b->model_id) != 0 || !a->rate != !b->rate ||
        a->rates_estimated != b->rates_estimated)
        abort();
    for (size_t i = 0; i < a->n_views; i++) {
        const struct net_decision_view *x = &a->views[i], *y = &b->views[i];
        if (strcmp(x->name, y->name) != 0 || memcmp(x->classes, y->classes, (size_t)a->n_classes) != 0 ||
            x->review != y->review || x->block != y->block || !same_promise(&x->max_miss, &y->max_miss) ||
            !same_promise(&x->max_wrong_block, &y->max_wrong_block))
            abort();
    }
    for (int k = 0; a->rate && k < a->n_classes; k++)
        if (a->rate[k] != b->rate[k]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *classes[] = {"a", "b", "c"};
    static const float scores[][3] = {{1, 0, 0}, {0, 0.5f, 0.5f}, {0.25f, 0.25f, 0.5f}, {NAN, 0, 1}};
    struct net_metadata m = {.classes = classes, .n_classes = 3, .temperature = 1};
    struct net_decisions d, again;
    struct error err = {0};
    if (size > 1 << 20 || !(m.extra_json = malloc(size + 1))) return 0;
    memcpy(m.extra_json, data, size);
    m.extra_json[size] = 0;
    if (net_decisions_read(&d, &m, &err)) {
        if (!err.text[0] || !err.code) abort(); /* an error must say something */
        free(m.extra_json);
        return 0;
    }
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        int view;
        enum net_decision got = net_decide(&d, scores[i], &view);
        if (got >= NET_DECISION_COUNT || (view < 0) != (got == NET_ALLOW) || view >= (int)d.n_views) abort();
    }
    (void)net_decisions_fit(&d, &m);
    if (d.n_views) {
        if (net_decisions_store(&d, &m, &err) || net_decisions_read(&again, &m, &err)) abort();
        check_same(&d, &again);
        net_decisions_release(&again);
    }
    net_decisions_release(&d);
    free(m.extra_json);
    return 0;
}

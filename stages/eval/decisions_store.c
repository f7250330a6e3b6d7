/* decisions_store.c: writes the chosen thresholds into the model folder, where classify obeys them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/number.h"
#include "eval_decisions.h"
#include "net/net_decisions.h"

static void fill_promise(struct net_promise *out, const struct decision_guarantee *g)
{
    *out = (struct net_promise){.given = g->asked && g->chosen.found,
                                .rate = g->wanted.target,
                                .confidence = g->wanted.confidence,
                                .bound = g->chosen.upper_bound,
                                .n = g->chosen.n_positive,
                                .missed = g->chosen.missed,
                                .test_n = g->test_n,
                                .test_missed = g->test_missed};
}

/* Adds the named view to out. A view without a guarantee is left out. Fails with EX_USAGE when there is no
 * view of that name. */
static int add_view(struct net_decisions *out, const struct decisions *d, const char *name, struct error *err)
{
    char shown[100];
    for (size_t i = 0; i < d->n_views; i++) {
        const struct view_decisions *v = &d->views[i];
        struct net_decision_view *to = &out->views[out->n_views];
        if (strcmp(v->view->view->name, name) != 0) continue;
        if (!v->miss.chosen.found) return 0; /* this was reported before, and the exit status is 1 */
        out->n_views++;
        if (!(to->name = mem_strdup(name, err)) ||
            !(to->classes = mem_dup(v->view->view->positive, (size_t)out->n_classes, err)))
            return -1;
        to->review = v->rule.review;
        to->block = v->rule.block;
        fill_promise(&to->max_miss, &v->miss);
        fill_promise(&to->max_wrong_block, &v->block);
        return 0;
    }
    return error_set(err, EX_USAGE, "--store-decisions: there is no view '%s'",
                     text_for_people(shown, sizeof shown, name));
}

int decisions_read_stored(struct decisions *out, const struct eval_options *o, struct error *err)
{
    struct net net = NET_EMPTY;
    if (!o->model || o->max_miss || o->cost) return 0;
    struct error ignored = {0};
    /* Formats without a header (ONNX) cannot store thresholds, which is not an error here. */
    if (net_open_header(&net, o->model, &ignored)) return 0;
    int rc = net_decisions_read(&out->stored, &net.metadata, err);
    if (rc) error_prefix(err, "'%s'", o->model);
    if (!rc && !net_decisions_fit(&out->stored, &net.metadata)) net_decisions_release(&out->stored);
    net_release(&net);
    return rc;
}

int predict_store_decisions(const struct eval_options *o, const struct decisions *d, struct error *err)
{
    struct net net = NET_EMPTY;
    struct net_decisions out = NET_DECISIONS_EMPTY;
    int rc = -1;
    if (net_open(&net, o->model, err)) return -1;
    out.n_classes = net.metadata.n_classes;
    out.temperature = net.metadata.temperature;
    format_time(out.date, (int64_t)time(NULL));
    if (out.n_classes == 0) {
        error_set(err, EX_DATAERR,
                  "'%s' does not name its classes: thresholds would not say what they are of", o->model);
        goto out;
    }
    if (o->store_decisions.n > NET_DECISIONS_MAX_VIEWS) {
        error_set(err, EX_USAGE, "more than %d --store-decisions", NET_DECISIONS_MAX_VIEWS);
        goto out;
    }
    if (net_hash(&net, out.model_id, err) ||
        !(out.views = mem_zalloc(o->store_decisions.n, sizeof *out.views, err)))
        goto out;
    for (size_t i = 0; i < o->store_decisions.n; i++)
        if (add_view(&out, d, o->store_decisions.items[i], err)) goto out;
    if (d->has_rates) {
        out.rates_estimated = d->rates.draws != NULL;
        if (!(out.rate = mem_dup(d->rates.rate, (size_t)out.n_classes * sizeof *out.rate, err))) goto out;
    }
    rc = out.n_views == 0                                ? 0
         : net_decisions_store(&out, &net.metadata, err) ? -1
                                                         : net_write_tfjs(&net, o->model, err);
out:
    net_decisions_release(&out);
    net_release(&net);
    return rc;
}

/* card_decisions.c: writes the part of the card about the thresholds that are stored in the model. */
#include <math.h>
#include <string.h>

#include "export.h"
#include "net/net_decisions.h"

static void put_promise(FILE *f, const struct net_promise *p, const char *what)
{
    if (!p->given) return;
    fprintf(f,
            "At most %.4g %% %s, with %.4g %% confidence (exact binomial): %llu of %llu on the validation "
            "split, which bounds the rate by %.3g %%; %llu of %llu on the test split. ",
            100 * p->rate, what, 100 * p->confidence, (unsigned long long)p->missed, (unsigned long long)p->n,
            100 * p->bound, (unsigned long long)p->test_missed, (unsigned long long)p->test_n);
}

int export_card_decisions(FILE *f, const struct export *x, struct error *err)
{
    const struct net_metadata *m = &x->net.metadata;
    struct net_decisions d;
    if (net_decisions_read(&d, m, err)) return -1;
    if (d.n_views == 0) return 0;
    fprintf(f, "## Decisions\n\n");
    if (strcmp(d.model_id, x->id) != 0 || fabs(d.temperature - m->temperature) > 1e-9 * m->temperature)
        fprintf(f,
                "The thresholds below were chosen for the model `%s` at temperature %.9g: with this file's "
                "weights they promise nothing, and `classify` does not obey them.\n\n",
                d.model_id, d.temperature);
    fprintf(f,
            "Chosen %s. Below the first threshold a picture is allowed, from the second on it is blocked, "
            "between them a person looks.\n\n| view | classes | review from | block from |\n| --- | --- | "
            "--- | --- |\n",
            d.date);
    for (size_t i = 0; i < d.n_views; i++) {
        const struct net_decision_view *v = &d.views[i];
        const char *plus = "";
        fputs("| ", f);
        export_put_plain(f, v->name);
        fputs(" | ", f);
        for (int k = 0; k < m->n_classes; k++)
            if (v->classes[k]) {
                fputs(plus, f);
                export_put_plain(f, m->classes[k]);
                plus = " + ";
            }
        fprintf(f, " | %.9g | ", v->review);
        if (isfinite(v->block))
            fprintf(f, "%.9g |\n", v->block);
        else
            fprintf(f, "never |\n");
    }
    for (size_t i = 0; i < d.n_views; i++) {
        fputs("\n", f);
        export_put_plain(f, d.views[i].name);
        fputs(": ", f);
        put_promise(f, &d.views[i].max_miss, "missed");
        put_promise(f, &d.views[i].max_wrong_block, "blocked wrongly");
        fputs("\n", f);
    }
    if (d.rate) {
        fprintf(f, "\nRates, as %s:", d.rates_estimated ? "estimated from unlabelled pictures" : "given");
        for (int k = 0; k < m->n_classes; k++) {
            fputs(k ? ", " : " ", f);
            export_put_plain(f, m->classes[k]);
            fprintf(f, " %.3g %%", 100 * d.rate[k]);
        }
        fputs(".\n", f);
    }
    fputs("\n", f);
    net_decisions_release(&d);
    return 0;
}

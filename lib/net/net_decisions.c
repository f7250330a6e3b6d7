/* net_decisions.c: reads and writes decisions as JSON. Every reader and writer of a model copies unknown
 * keys, so exports contain the decisions without special code. */
#include "net/net_decisions.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "net/net_parts.h"

#define KEY "decisions"
#define SAME_TEMPERATURE 1e-9
#define NINE_DIGITS 1e-9 /* largest change of a probability when it is written with nine digits */

const char *const net_decision_names[NET_DECISION_COUNT] = {"allow", "review", "block"};

static int damaged(struct error *err, const char *what)
{
    return error_set(err, EX_DATAERR,
                     "userDefinedMetadata: 'decisions' are damaged: %s: store them again (eval "
                     "--store-decisions)",
                     what);
}

static int read_number(const cJSON *object, const char *key, double min, double max, double *out,
                       struct error *err)
{
    const cJSON *v = net_json_get(object, key);
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= min) || !(v->valuedouble <= max)) {
        char what[100];
        snprintf(what, sizeof what, "'%s' must be a number from %g to %g", key, min, max);
        return damaged(err, what);
    }
    *out = v->valuedouble;
    return 0;
}

static int read_count(const cJSON *object, const char *key, uint64_t *out, struct error *err)
{
    double value;
    if (read_number(object, key, 0, 1e15, &value, err)) return -1;
    *out = (uint64_t)value;
    return 0;
}

static int read_promise(struct net_promise *p, const cJSON *v, struct error *err)
{
    if (!v) return 0;
    p->given = true;
    return read_number(v, "rate", 0, 1, &p->rate, err) ||
                   read_number(v, "confidence", 0, 1, &p->confidence, err) ||
                   read_number(v, "bound", 0, 1, &p->bound, err) || read_count(v, "n", &p->n, err) ||
                   read_count(v, "missed", &p->missed, err) || read_count(v, "test_n", &p->test_n, err) ||
                   read_count(v, "test_missed", &p->test_missed, err)
               ? -1
               : 0;
}

static int class_of(const struct net_metadata *m, const char *name)
{
    for (int k = 0; k < m->n_classes; k++)
        if (strcmp(m->classes[k], name) == 0) return k;
    return -1;
}

static int read_view(struct net_decision_view *view, const cJSON *v, const struct net_metadata *m,
                     struct error *err)
{
    const cJSON *name = net_json_get(v, "name"), *classes = net_json_get(v, "classes"), *class;
    if (!cJSON_IsString(name) || !layer_name_ok(name->valuestring)) return damaged(err, "a view has no name");
    if (!(view->name = mem_strdup(name->valuestring, err)) ||
        !(view->classes = mem_zalloc((size_t)m->n_classes + 1, 1, err)))
        return -1;
    if (!cJSON_IsArray(classes) || cJSON_GetArraySize(classes) == 0)
        return damaged(err, "a view has no classes");
    cJSON_ArrayForEach(class, classes)
    {
        int k = cJSON_IsString(class) ? class_of(m, class->valuestring) : -1;
        if (k < 0) return damaged(err, "a view has a class that the model has not");
        view->classes[k] = 1;
    }
    view->block = INFINITY;
    return read_number(v, "review", 0, m->n_classes, &view->review, err) ||
                   (net_json_get(v, "block") &&
                    read_number(v, "block", view->review, m->n_classes, &view->block, err)) ||
                   read_promise(&view->max_miss, net_json_get(v, "max_miss"), err) ||
                   read_promise(&view->max_wrong_block, net_json_get(v, "max_wrong_block"), err)
               ? -1
               : 0;
}

static int read_rates(struct net_decisions *d, const cJSON *v, const struct net_metadata *m,
                      struct error *err)
{
    const cJSON *rates = net_json_get(v, "rates"), *source = net_json_get(v, "source");
    if (!v) return 0;
    if (!(d->rate = mem_zalloc((size_t)m->n_classes + 1, sizeof *d->rate, err))) return -1;
    d->rates_estimated = cJSON_IsString(source) && strcmp(source->valuestring, "estimated") == 0;
    for (int k = 0; k < m->n_classes; k++)
        if (read_number(rates, m->classes[k], 0, 1, &d->rate[k], err)) return -1;
    return 0;
}

int net_decisions_read(struct net_decisions *out, const struct net_metadata *m, struct error *err)
{
    cJSON *all = NULL;
    const cJSON *d, *views, *v, *date, *id;
    double version;
    int rc = -1;
    *out = (struct net_decisions){.n_classes = m->n_classes};
    if (!m->extra_json) return 0;
    if (net_json_parse(m->extra_json, strlen(m->extra_json), &all, err)) return -1;
    if (!(d = net_json_get(all, KEY))) {
        cJSON_Delete(all);
        return 0;
    }
    views = net_json_get(d, "views");
    date = net_json_get(d, "date");
    id = net_json_get(d, "model_id");
    if (read_number(d, "version", 1, 1e9, &version, err)) goto out;
    if (version > NET_DECISIONS_VERSION) {
        error_set(err, EX_DATAERR,
                  "userDefinedMetadata: 'decisions' are of version %.0f, and this program reads up to %d",
                  version, NET_DECISIONS_VERSION);
        goto out;
    }
    if (!cJSON_IsArray(views) || cJSON_GetArraySize(views) < 1 ||
        cJSON_GetArraySize(views) > NET_DECISIONS_MAX_VIEWS) {
        damaged(err, "there are no views, or too many");
        goto out;
    }
    if (cJSON_IsString(date)) snprintf(out->date, sizeof out->date, "%s", date->valuestring);
    if (cJSON_IsString(id)) snprintf(out->model_id, sizeof out->model_id, "%s", id->valuestring);
    if (read_number(d, "temperature", 1e-3, 1e3, &out->temperature, err) ||
        read_rates(out, net_json_get(d, "prevalence"), m, err) ||
        !(out->views = mem_zalloc((size_t)cJSON_GetArraySize(views), sizeof *out->views, err)))
        goto out;
    cJSON_ArrayForEach(v, views)
    {
        if (read_view(&out->views[out->n_views++], v, m, err)) goto out;
    }
    rc = 0;
out:
    cJSON_Delete(all);
    if (rc) net_decisions_release(out);
    return rc;
}

bool net_decisions_fit(const struct net_decisions *d, const struct net_metadata *m)
{
    return strcmp(d->model_id, m->model_id) == 0 &&
           fabs(d->temperature - m->temperature) <= SAME_TEMPERATURE * m->temperature;
}

static void put_promise(cJSON *view, const char *key, const struct net_promise *p)
{
    if (!p->given) return;
    cJSON *v = cJSON_AddObjectToObject(view, key);
    cJSON_AddNumberToObject(v, "rate", p->rate);
    cJSON_AddNumberToObject(v, "confidence", p->confidence);
    cJSON_AddNumberToObject(v, "n", (double)p->n);
    cJSON_AddNumberToObject(v, "missed", (double)p->missed);
    cJSON_AddNumberToObject(v, "bound", p->bound);
    cJSON_AddNumberToObject(v, "test_n", (double)p->test_n);
    cJSON_AddNumberToObject(v, "test_missed", (double)p->test_missed);
}

int net_decisions_store(const struct net_decisions *d, struct net_metadata *m, struct error *err)
{
    cJSON *all, *o;
    if (net_json_reopen(m->extra_json, KEY, &all, &o, err)) return -1;
    cJSON_AddNumberToObject(o, "version", NET_DECISIONS_VERSION);
    cJSON_AddStringToObject(o, "date", d->date);
    cJSON_AddStringToObject(o, "model_id", d->model_id);
    cJSON_AddNumberToObject(o, "temperature", d->temperature);
    cJSON *views = cJSON_AddArrayToObject(o, "views");
    for (size_t i = 0; i < d->n_views; i++) {
        const struct net_decision_view *view = &d->views[i];
        cJSON *v = cJSON_CreateObject();
        cJSON_AddItemToArray(views, v);
        cJSON_AddStringToObject(v, "name", view->name);
        cJSON *classes = cJSON_AddArrayToObject(v, "classes");
        for (int k = 0; k < m->n_classes; k++)
            if (view->classes[k]) cJSON_AddItemToArray(classes, cJSON_CreateString(m->classes[k]));
        cJSON_AddNumberToObject(v, "review", view->review);
        if (isfinite(view->block)) cJSON_AddNumberToObject(v, "block", view->block);
        put_promise(v, "max_miss", &view->max_miss);
        put_promise(v, "max_wrong_block", &view->max_wrong_block);
    }
    if (d->rate) {
        cJSON *prevalence = cJSON_AddObjectToObject(o, "prevalence");
        cJSON_AddStringToObject(prevalence, "source", d->rates_estimated ? "estimated" : "given");
        cJSON *rates = cJSON_AddObjectToObject(prevalence, "rates");
        for (int k = 0; k < m->n_classes; k++)
            cJSON_AddNumberToObject(rates, m->classes[k], d->rate[k]);
    }
    return net_json_keep(&m->extra_json, all, err);
}

int net_decisions_text(char **out, const struct net_metadata *m, struct error *err)
{
    cJSON *all = NULL;
    const cJSON *d;
    int rc = 0;
    *out = NULL;
    if (!m->extra_json) return 0;
    if (net_json_parse(m->extra_json, strlen(m->extra_json), &all, err)) return -1;
    if ((d = net_json_get(all, KEY))) {
        char *printed = cJSON_PrintUnformatted(d);
        *out = printed ? mem_strdup(printed, err) : NULL;
        if (!*out) rc = error_set(err, EX_OSERR, "cannot allocate the metadata");
        cJSON_free(printed);
    }
    cJSON_Delete(all);
    return rc;
}

void net_decisions_release(struct net_decisions *d)
{
    for (size_t i = 0; i < d->n_views; i++) {
        free(d->views[i].name);
        free(d->views[i].classes);
    }
    free(d->views);
    free(d->rate);
    *d = NET_DECISIONS_EMPTY;
}

enum net_decision net_decide(const struct net_decisions *d, const float *p, int *view)
{
    enum net_decision strictest = NET_ALLOW;
    if (view) *view = -1;
    for (size_t i = 0; i < d->n_views; i++) {
        const struct net_decision_view *v = &d->views[i];
        double sum = 0;
        for (int k = 0; k < d->n_classes; k++)
            if (v->classes[k]) sum += (double)p[k];
        /* Thresholds are scores that eval read with nine digits. A picture with
         * exactly that score is not below it. */
        sum += NINE_DIGITS;
        enum net_decision own = sum >= v->block ? NET_BLOCK : sum >= v->review ? NET_REVIEW : NET_ALLOW;
        if (own > strictest) {
            strictest = own;
            if (view) *view = (int)i;
        }
    }
    return strictest;
}

/*
 * classifier.c: opens the model, and has the code that operands.c and watch.c share. It reads the small
 * header first and starts the decoders, so that the first picture is decoded while the weights are read and
 * the network is planned.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/class_sum.h"
#include "base/number.h"
#include "base/text.h"
#include "classify.h"

static int parse_threshold(struct classifier *c, struct threshold *t, const char *text, struct error *err)
{
    const char *equals = strrchr(text, '=');
    char shown[128], known[400], *names;
    text_for_people(shown, sizeof shown, text);
    if (!equals || equals == text) return error_set(err, EX_USAGE, "--threshold: '%s' is not CLASS=P", shown);
    if (parse_double(equals + 1, 0, (double)c->n_classes, &t->limit, "--threshold", err)) return -1;
    if (!(t->classes = mem_zalloc((size_t)c->n_classes, sizeof *t->classes, err)) ||
        !(names = mem_strdup(text, err)))
        return -1;
    t->text = names;
    names[equals - text] = 0;
    char *copy = mem_strdup(names, err);
    if (!copy) return -1;
    const char *missing = class_sum_parse(copy, c->class_names, c->n_classes, t->classes);
    int rc = missing
                 ? error_set(err, EX_USAGE, "--threshold: the model has no class '%s' (it has %s)",
                             text_for_people(shown, sizeof shown, missing),
                             text_names_for_people(known, sizeof known, (const char *const *)c->class_names,
                                                   (size_t)c->n_classes))
                 : 0;
    free(copy);
    return rc;
}

static int name_classes(struct classifier *c, struct error *err)
{
    const struct net *n = &c->header;
    const struct net_shape *out = &n->layers[n->output].output;
    if (out->rank != 1 || out->dim[0] < 1)
        return error_set(err, EX_DATAERR, "the network's output is not a list of scores");
    c->n_classes = out->dim[0];
    if (n->metadata.n_classes > 0 && n->metadata.n_classes != c->n_classes)
        return error_set(err, EX_DATAERR, "the model has %d outputs, but names %d classes", c->n_classes,
                         n->metadata.n_classes);
    if (!(c->class_names = mem_zalloc((size_t)c->n_classes, sizeof *c->class_names, err))) return -1;
    for (int i = 0; i < c->n_classes; i++) {
        char plain[32];
        if (!(c->class_names[i] = mem_strdup(net_class_name(&n->metadata, i, plain), err))) return -1;
    }
    return 0;
}

/* The largest number of frames of one picture that are scored. */
#define MOST_FRAMES 256

static int choose_frames(struct image_loader_options *lo, const char *frames, struct error *err)
{
    int64_t every = 1;
    if (!frames) return 0;
    if (strcmp(frames, "first") == 0) {
        lo->rules.frame = 1;
        return 0;
    }
    if (strcmp(frames, "all") != 0 &&
        (!text_starts(frames, "every:") || parse_i64(frames + 6, 1, 100000, &every, "--frames every", err)))
        return error_set(err, EX_USAGE, "--frames '%s' is not first, every:N or all", frames);
    lo->frames_every = (int)every;
    lo->frames_most = MOST_FRAMES;
    return 0;
}

int classifier_open(struct classifier *c, const struct classify_options *opt, struct error *err)
{
    struct image_loader_options lo = {.threads = stage_threads(&opt->common), .no_sandbox = opt->no_sandbox};
    if (scoring_model_open(&c->header, opt->model, &opt->scoring, SCORING_HEADER, NULL, err)) return -1;
    const struct net_shape *in = &c->header.layers[c->header.input].output;
    if (in->rank != 3 || in->dim[2] != 3 || in->dim[0] != in->dim[1] || in->dim[0] < 1)
        return error_set(
            err, EX_DATAERR,
            "'%s': the network does not take square RGB pictures of a fixed size (--input side=N says a size "
            "that the file leaves open)",
            opt->model);
    c->side_px = in->dim[0];
    if (name_classes(c, err)) return error_prefix(err, "'%s'", opt->model);
    if (opt->thresholds.n > 64) return error_set(err, EX_USAGE, "more than 64 --threshold options");
    if (opt->thresholds.n > 0 && !(c->thresholds = mem_zalloc(opt->thresholds.n, sizeof *c->thresholds, err)))
        return -1;
    for (; c->n_thresholds < opt->thresholds.n;) {
        size_t i = c->n_thresholds++;
        if (parse_threshold(c, &c->thresholds[i], opt->thresholds.items[i], err)) return -1;
    }
    if (!opt->no_decisions) {
        if (net_decisions_read(&c->decisions, &c->header.metadata, err))
            return error_prefix(err, "'%s'", opt->model);
        if (c->decisions.n_views && !net_decisions_fit(&c->decisions, &c->header.metadata)) {
            stage_warn("'%s': its thresholds were chosen for other weights or another temperature, and are "
                       "not obeyed: store them again (eval --store-decisions)",
                       opt->model);
            net_decisions_release(&c->decisions);
        }
    }
    const char *method = opt->resize ? opt->resize : c->header.metadata.resize;
    if (resize_rule_parse(method, &lo.resize, err)) return -1;
    const struct picture_rules recorded = scoring_picture_rules(&c->header.metadata);
    lo.rules = picture_rules_over(&opt->rules, &recorded);
    if (opt->frames && opt->rules.frame)
        return error_set(err, EX_USAGE, "--frame takes one frame and --frames several: leave one out");
    if (choose_frames(&lo, opt->frames, err)) return -1;
    lo.side_px = c->side_px;
    return image_loader_open(&c->loader, &lo, err);
}

int classifier_ready(struct classifier *c, const struct classify_options *opt, uint64_t n_known,
                     struct error *err)
{
    struct predictor_options po = {.device = opt->device,
                                   .threads = stage_threads(&opt->common),
                                   .batch = (int)opt->batch,
                                   .precision = opt->precision,
                                   .scoring = opt->scoring};
    struct text remarks = TEXT_EMPTY;
    if (c->predictor) return 0;
    po.remarks = &remarks;
    /* An animation alone may fill a batch. */
    if (n_known > 0 && n_known < (uint64_t)po.batch && !opt->frames) po.batch = (int)n_known;
    int rc = predictor_open(&c->predictor, opt->model, &po, err);
    if (!rc && !opt->common.quiet) stage_warn_lines(remarks.data);
    text_release(&remarks);
    if (rc) return -1;
    c->batch = predictor_batch(c->predictor);
    if (predictor_n_classes(c->predictor) != c->n_classes || predictor_side_px(c->predictor) != c->side_px)
        return error_set(err, EX_TEMPFAIL, "'%s' was replaced while it was opened", opt->model);
    size_t image_bytes = (size_t)c->side_px * (size_t)c->side_px * 3;
    c->pixels = mem_aligned(64, (image_bytes * (size_t)c->batch + 63) & ~(size_t)63, err);
    c->probabilities = mem_zalloc((size_t)c->batch * (size_t)c->n_classes, sizeof(float), err);
    c->owners = mem_zalloc((size_t)c->batch, sizeof *c->owners, err);
    return c->pixels && c->probabilities && c->owners ? 0 : -1;
}

void classifier_close(struct classifier *c)
{
    for (size_t i = 0; i < c->n_thresholds; i++) {
        free((char *)(uintptr_t)c->thresholds[i].text);
        free(c->thresholds[i].classes);
    }
    free(c->thresholds);
    for (int i = 0; c->class_names && i < c->n_classes; i++)
        free(c->class_names[i]);
    free(c->class_names);
    free(c->pixels);
    free(c->probabilities);
    free(c->owners);
    if (c->loader) image_loader_close(c->loader);
    if (c->predictor) predictor_close(c->predictor);
    net_release(&c->header);
    net_decisions_release(&c->decisions);
    uint64_t flagged = c->n_flagged, held = c->n_held, unreadable = c->n_unreadable;
    *c = (struct classifier){.n_flagged = flagged, .n_held = held, .n_unreadable = unreadable};
}

/* --- scores --- */

static void add_scores(struct classifier *c, struct scores *s, const float *p)
{
    int view;
    enum net_decision d = net_decide(&c->decisions, p, &view);
    for (size_t t = 0; t < c->n_thresholds; t++) {
        double sum = 0;
        for (int i = 0; i < c->n_classes; i++)
            if (c->thresholds[t].classes[i]) sum += (double)p[i];
        s->over[t] += sum >= c->thresholds[t].limit;
    }
    for (int i = 0; i < c->n_classes; i++)
        if (s->n_frames == 0 || p[i] > s->p[i]) s->p[i] = p[i];
    if (s->n_frames == 0 || d > s->decision) {
        s->decision = d;
        s->decided_by = view;
    }
    s->n_frames++;
}

int classifier_flush(struct classifier *c, struct error *err)
{
    int n = c->filled;
    c->filled = 0;
    if (n > 0 && predictor_run(c->predictor, c->pixels, n, c->probabilities, err)) return -1;
    for (int i = 0; i < n; i++)
        add_scores(c, c->owners[i], c->probabilities + (size_t)i * (size_t)c->n_classes);
    return 0;
}

int classifier_add(struct classifier *c, const struct loaded_image *image, struct scores **out,
                   struct error *err)
{
    size_t square = (size_t)c->side_px * (size_t)c->side_px * 3;
    size_t bytes = sizeof(struct scores) + (size_t)c->n_classes * sizeof(float) + c->n_thresholds * 4;
    struct scores *s = *out = mem_zalloc(1, bytes, err);
    if (!s) return -1;
    s->p = (float *)(void *)(s + 1);
    s->over = (uint32_t *)(void *)(s->p + c->n_classes);
    for (int i = 0; i < image->n_frames; i++) {
        if (c->filled == c->batch && classifier_flush(c, err)) return -1;
        memcpy(c->pixels + (size_t)c->filled * square, image->pixels + (size_t)i * square, square);
        c->owners[c->filled++] = s;
    }
    return 0;
}

uint64_t classifier_judge(struct classifier *c, const struct scores *s)
{
    uint64_t flags = 0;
    for (size_t t = 0; t < c->n_thresholds; t++)
        if (s->over[t] > 0) flags |= (uint64_t)1 << t;
    c->n_flagged += flags != 0;
    c->n_held += s->decision != NET_ALLOW;
    return flags;
}

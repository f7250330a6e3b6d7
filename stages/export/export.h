/*
 * export.h: what the files of the export stage share.
 */
#ifndef WINNOW_STAGES_EXPORT_H
#define WINNOW_STAGES_EXPORT_H

#include <stdio.h>

#include "base/text.h"
#include "cli/stage.h"
#include "net/net.h"

enum export_to { TO_TFJS, TO_ONNX, TO_KERAS, TO_DEMO, TO_TRANSFORMERS };
enum export_quantize { QUANTIZE_AUTO, QUANTIZE_NONE, QUANTIZE_FLOAT16, QUANTIZE_UINT16, QUANTIZE_UINT8 };

struct export_options {
    struct common_options common;
    const char *model, *metrics, *slices, *shards, *device, *title, *date, *web, *npm;
    int to, quantize, layout, split;
    int64_t batch;
    bool weights_only, fold_temperature;
};
#define EXPORT_DEFAULTS                                                                                      \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .device = "auto", .batch = 8, .split = 2                          \
    }

/* One export in progress. */
struct export
{
    const struct export_options *opt;
    struct net net;
    enum net_encoding encoding;
    char source_id[33];   /* of the weights as they came */
    char id[33];          /* of the weights as they are in what was written */
    char date[16];        /* YYYY-MM-DD */
    struct text facts;    /* the model's metadata as key<TAB>value lines */
    struct text accuracy; /* before and after, as TSV lines; empty without --shards */
    /* a Markdown table: images by class and split; empty without --shards */
    struct text counts;
};

int export_run(struct export *x, const struct export_options *opt, struct error *err);
void export_release(struct export *x);

/* Value of a metadata line ("train.phase") into out, "" when absent. Returns out. */
const char *export_fact(const struct export *x, const char *key, char *out, size_t bytes);

/* Accuracy of two model paths (after NULL: one) on the test split: TSV lines into x->accuracy. */
int export_accuracy(struct export *x, const char *before, const char *after, struct error *err);

/* How many images of each class and split the set has: x->counts. */
int export_count(struct export *x, struct error *err);

/* Text within a Markdown table's cell or a heading, onto t: nothing of it is markup. */
int export_plain(struct text *t, const char *s, struct error *err);

/*
 * MODEL_CARD.md in folder, about `subject`: a file's name, or a format. Where the folder `stays`, which is
 * folder or will become it, has such a card of somebody else or about something else, it is kept, and
 * the new one is <subject>.MODEL_CARD.md. EX_CANTCREAT when that is taken as well.
 */
int export_card(struct export *x, const char *folder, const char *stays, const char *subject,
                struct error *err);
/* Its part about the thresholds that the model carries; nothing where it carries none. */
int export_card_decisions(FILE *f, const struct export *x, struct error *err);
/* Text into the card, with markup taken as letters. */
void export_put_plain(FILE *f, const char *s);

/* The static page: the folder `made` gets index.html and everything that it needs. */
int export_demo(struct export *x, const char *made, struct error *err);

/* What Transformers.js opens, into the folder `made`. EX_DATAERR for a model without class names or without
 * a softmax at its end. */
int export_transformers(struct export *x, const char *made, struct error *err);

/* --- what eval measured --- */

struct metric_row {
    char metric[64], key[96], value[64];
    double low, high;
    char n[32];
};
struct metric_table {
    struct metric_row *rows;
    size_t n, room;
};
/* NaN for what is not a number. */
double metric_number(const char *s);
int metrics_read(struct metric_table *t, const char *path, struct error *err);
const struct metric_row *metrics_find(const struct metric_table *t, const char *metric, const char *key);
void metrics_release(struct metric_table *t);

/* A slice that eval marked: worse than the rest beyond chance. */
struct weak_slice {
    char slice[128], rate[48];
    double value, low, high, difference;
    char k[24], n[24];
};
struct weak_slices {
    struct weak_slice *rows;
    size_t n, room;
};
int slices_read(struct weak_slices *t, const char *path, struct error *err);

#endif

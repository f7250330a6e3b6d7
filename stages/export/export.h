/* export.h: declarations that the files of the export stage share. */
#ifndef WINNOW_STAGES_EXPORT_H
#define WINNOW_STAGES_EXPORT_H

#include <stdio.h>

#include "base/text.h"
#include "cli/stage.h"
#include "model/scoring_model.h"
#include "net/net.h"

/* auto: the layout of the ONNX file that the model came from, else nhwc */
enum export_layout { LAYOUT_AUTO, LAYOUT_NHWC, LAYOUT_NCHW };
enum export_to { TO_TFJS, TO_ONNX, TO_KERAS, TO_DEMO, TO_TRANSFORMERS };
enum export_precision { EXPORT_FP32, EXPORT_INT8 };
enum export_quantize { QUANTIZE_AUTO, QUANTIZE_NONE, QUANTIZE_FLOAT16, QUANTIZE_UINT16, QUANTIZE_UINT8 };

struct export_options {
    struct scoring_options scoring;
    struct common_options common;
    const char *model, *metrics, *slices, *sources, *croissant, *shards, *device, *title, *date, *web, *npm;
    int to, quantize, layout, split, precision;
    int64_t batch, calibration;
    bool weights_only, fold_temperature;
};
#define EXPORT_DEFAULTS                                                                                      \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .device = "auto", .batch = 8, .split = 2, .calibration = 256      \
    }

/* One export. */
struct export
{
    const struct export_options *opt;
    struct net net;
    enum net_encoding encoding;
    char source_id[33];   /* id of the weights that were read */
    char id[33];          /* id of the weights that were written */
    char date[16];        /* YYYY-MM-DD */
    struct text facts;    /* the model's metadata as key<TAB>value lines */
    struct text accuracy; /* before and after, as TSV lines; empty without --shards */
    /* A Markdown table of pictures by class and split. Empty without --shards. */
    struct text counts;
};

int export_run(struct export *x, const struct export_options *opt, struct error *err);
void export_release(struct export *x);

/* Writes the value of a metadata key such as "train.phase" to out, or "" when it is absent. Returns out. */
const char *export_fact(const struct export *x, const char *key, char *out, size_t bytes);

/* Measures the accuracy of two models (one when after is NULL) on the test split, and writes TSV lines to
 * x->accuracy. */
int export_accuracy(struct export *x, const char *before, const char *after, struct error *err);

/* Converts x->net to int8, calibrated on pictures of the set. */
int export_int8(struct export *x, struct error *err);

/* Counts the pictures of each class and split in the set, and writes a table to x->counts. */
int export_count(struct export *x, struct error *err);

/* Appends s to t, escaped so that no part of it is markup in a cell of a Markdown table or in a heading. */
int export_plain(struct text *t, const char *s, struct error *err);

/*
 * Writes MODEL_CARD.md into folder, about `subject`: a file's name, or a format. `stays` is the folder under
 * its final name, or the same folder. If it has a card that winnow did not write, or one about another
 * subject, that card is kept, and the new one is <subject>.MODEL_CARD.md. Fails with EX_CANTCREAT when such a
 * file exists, too.
 */
int export_card(struct export *x, const char *folder, const char *stays, const char *subject,
                struct error *err);
/* Writes the section about the thresholds stored in the model, or nothing when there are none. */
int export_card_decisions(FILE *f, const struct export *x, struct error *err);
/* Writes the section about the origin of the pictures, or nothing without --sources and --croissant. */
int export_card_sources(FILE *f, const struct export *x, struct error *err);
/* Writes s to the card, escaped so that no part of it is markup. */
void export_put_plain(FILE *f, const char *s);

/* Writes the static page (index.html and all files that it needs) into out_folder. */
int export_demo(struct export *x, const char *out_folder, struct error *err);

/* Writes the files that Transformers.js opens into out_folder. EX_DATAERR for a model without class names or
 * without a softmax at its end. */
int export_transformers(struct export *x, const char *out_folder, struct error *err);

/* --- the results of eval --- */

struct metric_row {
    char metric[64], key[96], value[64];
    double low, high;
    char n[32];
};
struct metric_table {
    struct metric_row *rows;
    size_t n, room;
};
/* Returns the number in s, or NaN when s is not a number. */
double metric_number(const char *s);
int metrics_read(struct metric_table *t, const char *path, struct error *err);
const struct metric_row *metrics_find(const struct metric_table *t, const char *metric, const char *key);
void metrics_release(struct metric_table *t);

/* A slice that eval flagged, because it is worse than the rest by more than chance. */
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

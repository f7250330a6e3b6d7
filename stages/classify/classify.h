/* classify.h: shared by the files of the classify stage: options, the model, and results in two formats. */
#ifndef WINNOW_STAGES_CLASSIFY_H
#define WINNOW_STAGES_CLASSIFY_H

#include "cli/stage.h"
#include "image/image_loader.h"
#include "manifest/manifest.h"
#include "model/predictor.h"
#include "net/net_decisions.h"

enum result_format { RESULT_TSV, RESULT_JSON };

struct classify_options {
    struct common_options common;
    struct scoring_options scoring;
    const char *model, *device, *resize, *frames, *watch, *hand_off;
    struct option_strings thresholds;
    int format, precision; /* enum result_format, predictor_precision */
    int64_t batch, top;
    struct picture_rules rules;
    bool no_sandbox, hash, once, no_decisions;
};
#define CLASSIFY_DEFAULTS                                                                                    \
    {                                                                                                        \
        .common = COMMON_OPTIONS_DEFAULTS, .device = "auto", .batch = 8                                      \
    }

/* --threshold A+B=P: a picture is flagged when the probabilities of these classes sum to P or more. */
struct threshold {
    const char *text; /* "hentai+porn" part, owned */
    uint8_t *classes; /* n_classes, 1: counts */
    double limit;
};

/* The model, and the data that all results share. */
struct classifier {
    struct net header; /* classes and sizes, read before the weights */
    struct predictor *predictor;
    struct image_loader *loader;
    int n_classes, side_px;
    char **class_names; /* owned; "class_0" where the file names none */
    struct threshold *thresholds;
    size_t n_thresholds;
    struct net_decisions decisions; /* thresholds of the model, used unless --no-decisions; n_views 0: none */
    uint8_t *pixels;                /* batch x side x side x 3 */
    float *probabilities;           /* batch x n_classes */
    struct scores **owners;         /* of the pictures in the batch */
    int batch, filled;
    uint64_t n_flagged, n_held, n_unreadable; /* held: number of pictures that the decisions do not allow */
};

/*
 * Reads the header of the model and starts the decoders. classifier_ready reads the weights later, while the
 * first picture is being decoded. n_known: the number of pictures, which limits the batch, or 0 when more may
 * come.
 */
int classifier_open(struct classifier *c, const struct classify_options *opt, struct error *err);
int classifier_ready(struct classifier *c, const struct classify_options *opt, uint64_t n_known,
                     struct error *err);
void classifier_close(struct classifier *c);
/* The combined scores of the frames of one picture. It is one block of memory, freed with free(). */
struct scores {
    float *p;                   /* n_classes: for each class the largest value of all frames */
    uint32_t *over;             /* for each threshold: the number of frames that reach it */
    int n_frames;               /* how many have been scored */
    enum net_decision decision; /* the strictest of all frames; NET_ALLOW when the model has no thresholds */
    int decided_by;             /* view of the decisions, or -1 */
};
/* Adds a decoded picture to the batch, and runs the batch when it is full. *out is complete after
 * classifier_flush, and must not be freed before. */
int classifier_add(struct classifier *c, const struct loaded_image *image, struct scores **out,
                   struct error *err);
/* Counts flagged pictures and those that are not allowed. Returns a set of bits: bit i means that a frame
 * reached threshold i. */
uint64_t classifier_judge(struct classifier *c, const struct scores *s);
/* Runs the pictures in the batch. */
int classifier_flush(struct classifier *c, struct error *err);

/* --- results --- */

struct result {
    const char *const *base; /* the input's columns */
    const char *xxh128;
    const struct scores *scores; /* NULL when unreadable (watch mode only) */
    uint64_t flags;              /* bit i set: a frame met threshold i */
    const char *reason, *detail;
};

struct result_writer {
    struct atomic_file file;
    FILE *stream; /* file.stream, or stdout or an appended file in watch mode */
    bool live;    /* flushed line by line */
    const struct classifier *classifier;
    const struct classify_options *opt;
    const struct manifest_schema *base;
    struct text line;
};
/* Opens the output and writes the TSV header. With `live`, lines are appended to the file and each is
 * flushed. Otherwise the file appears whole at commit. */
int result_writer_open(struct result_writer *w, const struct classifier *c,
                       const struct classify_options *opt, const struct manifest_schema *base, bool live,
                       struct error *err);
int result_writer_put(struct result_writer *w, const struct result *r, struct error *err);
/* Writes the JSON object of a result, without the line end, to w->line. */
int result_json(struct result_writer *w, const struct result *r, struct error *err);
int result_writer_commit(struct result_writer *w, struct error *err);
void result_writer_close(struct result_writer *w);
int result_argmax(const float *p, int n);

/* --- the two ways to run --- */

/* Classifies the operands: pictures, folders, manifests ("-" or .tsv). Without operands it reads a manifest
 * from standard input. rejects must not be open yet. */
int classify_operands(struct classifier *c, const struct classify_options *opt,
                      const struct operands *operands, struct stage_counts *n, struct error *err);
/* Runs until a signal requests a stop, or with --once until the inbox is empty. */
int classify_watch(struct classifier *c, const struct classify_options *opt, struct stage_counts *n,
                   struct error *err);

#endif

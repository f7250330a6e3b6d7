/* predict_memory.h: what a model said of the pictures of a shard set, kept from run to run (--memory). */
#ifndef WINNOW_PREDICT_MEMORY_H
#define WINNOW_PREDICT_MEMORY_H

#include "eval.h"
#include "model/predictor.h"
#include "shard/shard.h"
#include "store/picture_memory.h"

struct predict_memory {
    struct picture_memory pictures;
    bool open; /* false: nothing is found, and nothing is kept */
    int n_classes;
    uint64_t n_recalled;
    struct text values; /* reused */
};
#define PREDICT_MEMORY_EMPTY ((struct predict_memory){.pictures = PICTURE_MEMORY_EMPTY})

/* Opens o->memory for the predictor's model. When it cannot be used, a line says so, and the run takes
 * longer. -1: out of memory. */
int predict_memory_open(struct predict_memory *m, const struct eval_options *o,
                        const struct predictor *predictor, struct error *err);
/* Whether the model is known to say these probabilities [n_classes] of the record's pixels. */
bool predict_memory_find(struct predict_memory *m, const struct shard_record *r, float *probabilities);
int predict_memory_add(struct predict_memory *m, const char *xxh128, uint64_t checksum,
                       const float *probabilities, struct error *err);
/* Writes what is new. n_done: all rows of the run, for -v. */
void predict_memory_commit(struct predict_memory *m, const struct common_options *common, uint64_t n_done);
void predict_memory_close(struct predict_memory *m);

#endif

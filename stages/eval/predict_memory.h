/* predict_memory.h: keeps a model's predictions for the pictures of a shard set from run to run
 * (--memory). */
#ifndef WINNOW_PREDICT_MEMORY_H
#define WINNOW_PREDICT_MEMORY_H

#include "eval.h"
#include "model/predictor.h"
#include "shard/shard.h"
#include "store/picture_memory.h"

struct predict_memory {
    struct picture_memory pictures;
    bool open; /* whether a memory is in use; if not, no prediction is found or kept */
    int n_classes;
    uint64_t n_recalled;
    struct text values; /* reused */
};
#define PREDICT_MEMORY_EMPTY ((struct predict_memory){.pictures = PICTURE_MEMORY_EMPTY})

/* Opens o->memory for the predictor's model. When the file cannot be used, a line says so, and the run takes
 * longer. Returns 0, or -1 with err set when there is no memory. */
int predict_memory_open(struct predict_memory *m, const struct eval_options *o,
                        const struct predictor *predictor, struct error *err);
/* Whether the model's probabilities for the record's pixels are known. If so, sets probabilities
 * [n_classes]. */
bool predict_memory_find(struct predict_memory *m, const struct shard_record *r, float *probabilities);
int predict_memory_add(struct predict_memory *m, const char *xxh128, uint64_t checksum,
                       const float *probabilities, struct error *err);
/* Writes the new predictions to the file. n_done: number of all rows of the run, for -v. */
void predict_memory_commit(struct predict_memory *m, const struct common_options *common, uint64_t n_done);
void predict_memory_close(struct predict_memory *m);

#endif

/*
 * pdq_finish.h: computes the PDQ hash of each picture inside the workers of a decode pool, so that a worker
 * returns only a few hundred bytes for each picture. `validate --with pdq` and phash-dedup both use it, and
 * get the same hash for the same picture.
 */
#ifndef WINNOW_IMAGE_PDQ_FINISH_H
#define WINNOW_IMAGE_PDQ_FINISH_H

#include "hash/pdq.h"
#include "image/decode_pool.h"
#include "image/picture_stats.h"

struct pdq_wanted {
    enum pdq_family family;
    /* 0: only the statistics; 1: one hash; PDQ_DIHEDRALS: the hashes of all orientations */
    unsigned n_hashes;
    bool stats; /* picture_stats of the same pixels, too */
};

struct pdq_found {
    struct pdq_hash hashes[PDQ_DIHEDRALS]; /* zeros beyond n_hashes */
    int32_t quality;
    uint32_t pixels;            /* as stored: width * height */
    struct picture_stats stats; /* zeros when not wanted */
};

/*
 * Sets the options of a pool that computes the hashes in wanted (borrowed as long as the pool lives): finish,
 * context, result_bytes, and the settings of the decoder that the hash needs. The caller sets the other
 * fields.
 */
void pdq_finish_set(struct decode_pool_options *o, const struct pdq_wanted *wanted);

/* Checks and copies the hash in d. It is untrusted, because a hostile picture may control the worker that
 * wrote it. Returns false when there is no valid hash; d->slug is then the reason, or NULL when the worker
 * wrote an invalid result. */
bool pdq_finish_take(const struct decoded *d, struct pdq_found *out);

#endif

/*
 * pdq_finish.h: computes the PDQ hash of each picture inside the workers of a decode pool, so that a few
 * hundred bytes for each picture come back. `validate --with pdq` and phash-dedup both use it, and get the
 * same hash for the same picture.
 */
#ifndef WINNOW_IMAGE_PDQ_FINISH_H
#define WINNOW_IMAGE_PDQ_FINISH_H

#include "hash/pdq.h"
#include "image/decode_pool.h"
#include "image/picture_stats.h"

struct pdq_wanted {
    enum pdq_family family;
    unsigned n_hashes; /* 1, or PDQ_DIHEDRALS: the turned ones, too */
    bool stats;        /* picture_stats of the same pixels, too */
};

struct pdq_found {
    struct pdq_hash hashes[PDQ_DIHEDRALS]; /* zeros beyond n_hashes */
    int32_t quality;
    uint32_t pixels;            /* as stored: width * height */
    struct picture_stats stats; /* zeros when not wanted */
};

/*
 * Makes o the options of a pool that hashes as wanted says (borrowed as long as the pool lives): sets
 * finish, context, result_bytes, and what the hash needs of the decoder. The other fields are the caller's.
 */
void pdq_finish_set(struct decode_pool_options *o, const struct pdq_wanted *wanted);

/* Checks the hash that came back in d, since a picture may have taken over the process that wrote it.
 * False: there is none (d->slug says why, or the worker gave a wrong answer). */
bool pdq_finish_take(const struct decoded *d, struct pdq_found *out);

#endif

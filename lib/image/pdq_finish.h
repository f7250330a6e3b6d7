/*
 * pdq_finish.h: the PDQ hash of each picture in a decode pool, computed inside the worker, so that a few
 * hundred bytes a picture come back. What `validate --with pdq` and phash-dedup share: the same picture gets
 * the same hash from either.
 */
#ifndef WINNOW_IMAGE_PDQ_FINISH_H
#define WINNOW_IMAGE_PDQ_FINISH_H

#include "hash/pdq.h"
#include "image/decode_pool.h"

struct pdq_wanted {
    enum pdq_family family;
    unsigned n_hashes; /* 1, or PDQ_DIHEDRALS: the turned ones, too */
};

struct pdq_found {
    struct pdq_hash hashes[PDQ_DIHEDRALS]; /* zeros beyond n_hashes */
    int32_t quality;
    uint32_t pixels; /* as stored: width * height */
};

/*
 * Makes o a pool that hashes as wanted says (borrowed as long as the pool lives): finish, context,
 * result_bytes, and what the hash asks of the decoder. Other fields are the caller's.
 */
void pdq_finish_set(struct decode_pool_options *o, const struct pdq_wanted *wanted);

/*
 * The hash that came back in d, checked: it comes from a process that a picture may have taken over. False:
 * there is none (d->slug says why, or the worker gave a wrong answer).
 */
bool pdq_finish_take(const struct decoded *d, struct pdq_found *out);

#endif

/*
 * frozen_stream.h: pictures one after the other into caches of frozen activations: what frozen_features.h
 * does for a shard set, for pictures that come from elsewhere. A picture that all caches have is not computed
 * again, nor is one that waits in the same batch.
 */
#ifndef WINNOW_MODEL_FROZEN_STREAM_H
#define WINNOW_MODEL_FROZEN_STREAM_H

#include "model/frozen_features.h"

struct frozen_stream;
/*
 * targets (copied; caches and boundaries are borrowed until close) are boundaries of the one net; options say
 * device, threads, batch and precision. Nothing is planned before the first picture that a cache lacks, so
 * a full cache costs no weights in memory.
 */
int frozen_stream_open(struct frozen_stream **out, const struct frozen_target *targets, int n_targets,
                       const struct net *net, const struct engine_options *options, size_t pixel_bytes,
                       struct error *err);
/* pixels [pixel_bytes], copied. Computes and appends whenever a batch is full. */
int frozen_stream_add(struct frozen_stream *s, const struct activation_key *key, const uint8_t *pixels,
                      struct error *err);
/* Computes what waits, and syncs the caches. More may be added afterwards. */
int frozen_stream_flush(struct frozen_stream *s, struct error *err);
size_t frozen_stream_computed(const struct frozen_stream *s);
void frozen_stream_close(struct frozen_stream *s); /* NULL is fine; what waits is dropped */

#endif

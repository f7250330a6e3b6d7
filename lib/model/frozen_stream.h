/*
 * frozen_stream.h: computes the features of pictures, given one after another, for caches of frozen
 * activations: frozen_features.h does so for a shard set, and this for pictures from elsewhere. A picture
 * that all caches have is not computed again, nor is one that is already waiting in the same batch.
 */
#ifndef WINNOW_MODEL_FROZEN_STREAM_H
#define WINNOW_MODEL_FROZEN_STREAM_H

#include "model/frozen_features.h"

struct frozen_stream;
/*
 * targets (copied; caches and boundaries are borrowed until close) are boundaries of the same net. options
 * give device, threads, batch and precision. Nothing is planned before the first picture that a cache lacks,
 * so that weights take no memory when the caches have everything.
 */
int frozen_stream_open(struct frozen_stream **out, const struct frozen_target *targets, int n_targets,
                       const struct net *net, const struct engine_options *options, size_t pixel_bytes,
                       struct error *err);
/* Adds a picture: pixels [pixel_bytes] are copied. Computes and appends whenever a batch is full. */
int frozen_stream_add(struct frozen_stream *s, const struct activation_key *key, const uint8_t *pixels,
                      struct error *err);
/* Computes the pictures that wait, and syncs the caches. More may be added afterwards. */
int frozen_stream_flush(struct frozen_stream *s, struct error *err);
size_t frozen_stream_computed(const struct frozen_stream *s);
void frozen_stream_close(struct frozen_stream *s); /* NULL is fine; what waits is dropped */

#endif

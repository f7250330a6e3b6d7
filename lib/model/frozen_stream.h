/*
 * frozen_stream.h: computes the features of pictures, which are added one after another, for caches of frozen
 * activations. For the pictures of a shard set use frozen_features.h. A picture whose features are in all
 * caches, or that is already waiting in the same batch, is not computed again.
 */
#ifndef WINNOW_MODEL_FROZEN_STREAM_H
#define WINNOW_MODEL_FROZEN_STREAM_H

#include "model/frozen_features.h"

struct frozen_stream;
/*
 * targets is copied; its caches and boundaries are borrowed until close. All boundaries must be of the same
 * net. options gives the device, threads, batch and precision. The engine is opened for the first picture
 * that a cache lacks, so weights take no memory when the caches have all pictures.
 */
int frozen_stream_open(struct frozen_stream **out, const struct frozen_target *targets, int n_targets,
                       const struct net *net, const struct engine_options *options, size_t pixel_bytes,
                       struct error *err);
/* Adds a picture; pixels [pixel_bytes] are copied. When this fills a batch, computes its features and appends
 * them to the caches. */
int frozen_stream_add(struct frozen_stream *s, const struct activation_key *key, const uint8_t *pixels,
                      struct error *err);
/* Computes the waiting pictures, and syncs the caches. More pictures may be added afterwards. */
int frozen_stream_flush(struct frozen_stream *s, struct error *err);
size_t frozen_stream_computed(const struct frozen_stream *s);
void frozen_stream_close(struct frozen_stream *s); /* s may be NULL; waiting pictures are dropped */

#endif

/*
 * markers.h: reads statements in an image file about itself: whether a generative model made it, and whether
 * it may be used for training. These statements are read and not verified: anybody can write or remove them.
 * winnow-rights.5 has the table. The code walks over the containers of JPEG, PNG, WebP, GIF and BMFF (AVIF,
 * HEIC) and decodes nothing. Its work is linear in the size of the file.
 */
#ifndef WINNOW_IMAGE_MARKERS_H
#define WINNOW_IMAGE_MARKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum image_marker {
    MARKER_MINING_ALLOWED, /* "data-mining:DMI-ALLOWED@xmp": plus:DataMining */
    MARKER_MINING_PROHIBITED,
    MARKER_MINING_NO_TRAINING,
    MARKER_MINING_NO_GENERATIVE,
    MARKER_MINING_ONLY_SEARCH,
    MARKER_MINING_SEE, /* "DMI-PROHIBITED-SEE...": unless other terms allow it */
    MARKER_TDM_0,      /* "tdm-reservation:0@xmp" */
    MARKER_TDM_1,
    MARKER_C2PA,             /* "c2pa": the file has a C2PA manifest */
    MARKER_C2PA_NO_TRAINING, /* the manifest's assertion about training says notAllowed */
    MARKER_SOURCE_MODEL,     /* "source:trainedAlgorithmicMedia@xmp": IPTC DigitalSourceType */
    MARKER_SOURCE_PART,      /* compositeWithTrainedAlgorithmicMedia */
    MARKER_SOURCE_SYNTHETIC, /* compositeSynthetic */
    MARKER_SOURCE_OTHER,     /* any other: a camera, a scanner, a painter */
    MARKER_C2PA_MODEL,       /* "source:trainedAlgorithmicMedia@c2pa" */
    MARKER_C2PA_PART,
    IMAGE_MARKERS
};
#define MARKERS_TEXT_BYTES 640 /* all words with commas and NUL */

/* Returns the set of markers in the file: 1u << marker for each, combined by or. Returns 0 for other kinds of
 * files. */
uint32_t image_markers(const uint8_t *bytes, size_t n_bytes);
const char *image_markers_text(char out[MARKERS_TEXT_BYTES], uint32_t set); /* returns out */
/* Returns whether a model made the picture: "yes", "partly", "no" (the file names a source that is not a
 * model) or "unknown". */
const char *image_markers_generated(uint32_t set);
bool image_markers_prohibit(uint32_t set); /* training a classifier */

#endif

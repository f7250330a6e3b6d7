/* limits.h: limits on the size and cost of an untrusted picture, with the reason for each. All limits are
 * checked in the header of the file, before anything of the picture's size is allocated. */
#ifndef WINNOW_IMAGE_LIMITS_H
#define WINNOW_IMAGE_LIMITS_H

/* A file is read whole into memory. The scripts that winnow replaces dropped files over 10 MB; 64 MiB also
 * allows scans stored as PNG. */
#define IMAGE_MAX_FILE_BYTES (64ull << 20)

/* Pillow refuses more than 178,956,970 pixels. There are cameras with 100 megapixels; a larger file is not a
 * training picture. A pixel takes 3 bytes. */
#define IMAGE_MAX_PIXELS 100000000ull

/*
 * Limit for pictures that are decoded row by row (a PNG that is not interlaced, a JPEG of one scan, a lossy
 * WebP). They are reduced while they are decoded, and never held in memory at full size. In clip-art
 * collections, one PNG in a hundred has 105 to 169 million pixels.
 */
#define IMAGE_MAX_ROW_PIXELS 200000000ull

/* The largest size after this reduction: 24 MB, and twice that while the orientation is applied. */
#define IMAGE_REDUCED_PIXELS 8000000ull

/* The formats allow 65,500 (JPEG), 16,383 (WebP), 65,535 (GIF) and 2^31 (PNG). */
#define IMAGE_MAX_SIDE_PX 65535

/* Each scan of a progressive JPEG costs a pass over all coefficients. Cameras write about 10 scans, and
 * the fuzzers of libjpeg-turbo stop at 500. */
#define IMAGE_MAX_JPEG_SCANS 100

/* Pixels times scans limits the work: 100 scans of a small picture, or 10 of one with 100 megapixels. */
#define IMAGE_MAX_SCAN_PIXELS (10ull * IMAGE_MAX_PIXELS)

/* Frames are counted, and only the first is decoded. The file limits the work of counting; this limits only
 * the number. */
#define IMAGE_MAX_FRAMES 100000

/* PNG: libpng skips text, profiles and unknown chunks, which are not needed, up to this size and number. */
#define IMAGE_MAX_PNG_CHUNK_BYTES (8u << 20)
#define IMAGE_MAX_PNG_CHUNKS 1000

/*
 * The address space of a worker in addition to what it had when it was forked. The file (64 MiB) is shared
 * and not counted again. A picture of 100 megapixels takes 300 MB as RGB, libjpeg's coefficients of a
 * progressive one 600 MB, and the resized copy little.
 */
#define IMAGE_WORKER_MEMORY_BYTES (1536ull << 20)

/* CPU time for one picture. A progressive JPEG of 100 megapixels takes about 10 s on a slow core. SIGPROF
 * ends the worker after this time. */
#define IMAGE_WORKER_CPU_SECONDS 30

/* Wall-clock time for one picture. It matters only for a worker that a picture has taken over and that
 * stopped its own timer, and for a machine that hangs. */
#define IMAGE_WORKER_WALL_SECONDS 600

#endif

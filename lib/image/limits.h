/*
 * limits.h: what a picture from a stranger may cost, each with its reason. Everything here is checked from
 * the header, before anything of the picture's size is allocated.
 */
#ifndef WINNOW_IMAGE_LIMITS_H
#define WINNOW_IMAGE_LIMITS_H

/* A file is read whole into memory. The scripts that winnow replaces dropped files over 10 MB; 64 MiB leaves
 * room for scans stored as PNG. */
#define IMAGE_MAX_FILE_BYTES (64ull << 20)

/* 178,956,970 is Pillow's hard limit; a 100-megapixel camera exists, nothing larger is a training picture. 3
 * bytes each. */
#define IMAGE_MAX_PIXELS 100000000ull

/* The formats allow 65,500 (JPEG), 16,383 (WebP), 65,535 (GIF), 2^31 (PNG): the largest of the small ones. */
#define IMAGE_MAX_SIDE_PX 65535

/* A progressive JPEG costs a pass over all coefficients a scan: cameras write about 10, libjpeg-turbo's
 * fuzzers stop at 500. */
#define IMAGE_MAX_JPEG_SCANS 100

/* Pixels times scans bounds the work: 100 scans of a small picture or 10 of a 100-megapixel one. */
#define IMAGE_MAX_SCAN_PIXELS (10ull * IMAGE_MAX_PIXELS)

/* Frames are only counted, never decoded beyond the first; counting walks the file, so this bounds a number,
 * not work. */
#define IMAGE_MAX_FRAMES 100000

/* PNG: text, profile and unknown chunks we do not want are skipped by libpng up to this size and count. */
#define IMAGE_MAX_PNG_CHUNK_BYTES (8u << 20)
#define IMAGE_MAX_PNG_CHUNKS 1000

/*
 * One worker's address space beyond what it was forked with: the file (64 MiB) is shared and not counted
 * again; a 100-megapixel picture as RGB is 300 MB, libjpeg's coefficients of a progressive one 600 MB, the
 * resized copy small.
 */
#define IMAGE_WORKER_MEMORY_BYTES (1536ull << 20)

/* CPU time for one picture. A 100-megapixel progressive JPEG takes about 10 s on a slow core; then SIGPROF
 * ends the worker. */
#define IMAGE_WORKER_CPU_SECONDS 30

/* Wall clock for one picture: only for a worker that stopped its own timer (taken over), or a machine that
 * hangs. */
#define IMAGE_WORKER_WALL_SECONDS 600

#endif

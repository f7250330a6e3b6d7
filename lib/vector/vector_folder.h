/*
 * vector_folder.h: reads the folder that embed writes: features.npy (float16 or float32 [rows][values],
 * NumPy's format 1.0), rows.tsv (the manifest's rows in the order of the vectors), reduce.fit (with
 * --reduce), and info.tsv, which is written last and describes the others: the base, the reduction and its
 * hash, the size. docs/formats.md has the columns.
 */
#ifndef WINNOW_VECTOR_VECTOR_FOLDER_H
#define WINNOW_VECTOR_VECTOR_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "io/io.h"

/* The contents of info.tsv. */
struct vector_info {
    char base[33];     /* the frozen layers, their weights, the scaling, device and precision */
    char pictures[48]; /* side and resize method: "299 bilinear" */
    char fit[33];      /* hash of the reduction; "": not reduced */
    size_t n_rows, n_values;
};

/* --- writing --- */

/* Writes the header of a .npy file with [n_rows][n_values] values. descr is "<f2" or "<f4". */
int npy_write_head(FILE *out, const char *descr, size_t n_rows, size_t n_values, struct error *err);
int vector_info_write(const struct vector_info *info, const char *folder, struct error *err);

/* --- reading --- */

/*
 * Parses such a header and sets *n_head to its length. The values must be float16 (*half) or float32,
 * little-endian, row after row; otherwise it fails with EX_DATAERR. The sizes do not overflow size_t, but are
 * not yet compared with the size of the file.
 */
int npy_read_head(const char *bytes, size_t n_bytes, const char *name, size_t *n_head, bool *half,
                  size_t *n_rows, size_t *n_values, struct error *err);
int vector_info_read_memory(struct vector_info *info, const char *text, const char *name, struct error *err);

struct vector_set {
    struct vector_info info;
    uint8_t (*ids)[16]; /* content hashes [n_rows] */
    float *values;      /* [n_rows][n_values], each row of length 1, or all 0 */
};
#define VECTOR_SET_EMPTY ((struct vector_set){0})
/*
 * Reads a whole folder. Fails with EX_NOINPUT when there is no info.tsv, and with EX_DATAERR when the files
 * do not belong together or a value is not finite. Memory: 4 bytes a value.
 */
int vector_set_read(struct vector_set *s, const char *folder, struct error *err);
void vector_set_release(struct vector_set *s);

#endif

/*
 * vector_kernels.h: products of many small vectors in 8 bits. Internal to lib/vector.
 *
 * The one side is unsigned, 64 + q with q from -63 to 63; the other is signed, -127 to 127, in groups of 16
 * rows: four values of each of the 16 rows, then the next four. Sums wrap around in 16 bits and begin at
 * bias, -64 times the sums of the signed rows, so that they end at the product of q; the caller makes sure
 * that it fits. (Two products of 127 * 127 fit into the 16 bits of one step.)
 */
#ifndef WINNOW_VECTOR_VECTOR_KERNELS_H
#define WINNOW_VECTOR_VECTOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define VECTOR_GROUP 16 /* rows of the signed side */
#define VECTOR_ROWS 4   /* of the unsigned side */

/*
 * a [VECTOR_ROWS][n4 * 4], group [n4][16][4], bias [16][2]; out [VECTOR_ROWS][16] products; returned: a bit
 * for each that is larger than limit, row after row.
 */
typedef uint64_t vector_kernel(const uint8_t *a, const int8_t *group, const int16_t *bias, size_t n4,
                               int32_t limit, int32_t *out);

struct vector_kernel_row {
    const char *name;
    vector_kernel *run;
};
/* The best that runs here, or the named one; NULL: it cannot run here. */
const struct vector_kernel_row *vector_kernel_find(const char *name);

#endif

/*
 * vector_kernels.h: computes the products of many small vectors of 8-bit values. Internal to lib/vector.
 *
 * The first vectors are unsigned: 64 + q, with q from -63 to 63. The second are signed, from -127 to 127, in
 * groups of 16 rows: four values of each of the 16 rows, then the next four. Sums wrap around in 16 bits.
 * They begin at `bias`, which is -64 times the sums of the signed rows, so that they end at the product of q
 * with the signed row. The caller must ensure that this product fits into 16 bits. (In one step, two products
 * of 127 * 127 fit.)
 */
#ifndef WINNOW_VECTOR_VECTOR_KERNELS_H
#define WINNOW_VECTOR_VECTOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define VECTOR_GROUP 16 /* rows of the signed side */
#define VECTOR_ROWS 4   /* of the unsigned side */

/*
 * a [VECTOR_ROWS][n4 * 4], group [n4][16][4], bias [16][2]. Sets out [VECTOR_ROWS][16] to the products.
 * Returns a bit for each product, row after row, which is 1 when the product is larger than limit.
 */
typedef uint64_t vector_kernel(const uint8_t *a, const int8_t *group, const int16_t *bias, size_t n4,
                               int32_t limit, int32_t *out);

struct vector_kernel_row {
    const char *name;
    vector_kernel *run;
};
/* Returns the kernel with this name, or for NULL the best one for this processor. Returns NULL when this
 * processor cannot run the kernel. */
const struct vector_kernel_row *vector_kernel_find(const char *name);

#endif

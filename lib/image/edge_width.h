/*
 * edge_width.h: measures the width of the sharpest edges of a picture, in pixels of a copy of at most 512
 * pixels a side. A picture that is out of focus or shaken has no narrow edges. A picture without edges, such
 * as a gradient or a clear sky, gets no measure, because it does not show whether it is blurred.
 */
#ifndef WINNOW_IMAGE_EDGE_WIDTH_H
#define WINNOW_IMAGE_EDGE_WIDTH_H

#include "base/error.h"
#include "image/image.h"

/*
 * An edge is a rise or fall of at least 40 grey levels over at most a third of a line, ignoring small
 * fluctuations. Its width is measured between 10 % and 90 % of the rise. *width becomes the 10th percentile
 * of the widths along 32 rows and 32 columns, or 0 with fewer than 12 edges. m: 1 or 3 channels. EX_OSERR: no
 * memory; 8 bytes are needed for each pixel of a line.
 */
int edge_width(const struct image *m, double *width, struct error *err);

#endif

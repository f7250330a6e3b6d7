/*
 * edge_width.h: how wide the sharpest edges of a picture are, in pixels of a copy of at most 512: a picture
 * that is out of focus or shaken has none that are narrow. A picture without edges, such as a ramp or a clear
 * sky, is not judged: nothing in it says that it is blurred.
 */
#ifndef WINNOW_IMAGE_EDGE_WIDTH_H
#define WINNOW_IMAGE_EDGE_WIDTH_H

#include "base/error.h"
#include "image/image.h"

/*
 * An edge is a rise or fall of 40 grey levels or more over at most a third of a line, small wiggles aside;
 * its width is that of the middle eight tenths of the rise. *width becomes what a tenth of the edges along 32
 * rows and 32 columns do not exceed, or 0 with fewer than 12 edges. m: 1 or 3 channels. EX_OSERR without
 * memory, which is 8 bytes a pixel of one line.
 */
int edge_width(const struct image *m, double *width, struct error *err);

#endif

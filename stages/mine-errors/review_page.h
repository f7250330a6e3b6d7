/* review_page.h: writes the review page. It consists of the files of web/review, which are embedded in the
 * program, with the suspects as data. */
#ifndef WINNOW_REVIEW_PAGE_H
#define WINNOW_REVIEW_PAGE_H

#include "mine_errors.h"

/* Writes the page to o->review. c: the label conflicts, which the page shows in addition to the suspects. The
 * page refers to pictures by paths relative to itself. The file appears whole or not at all. */
int review_write(const struct mine_options *o, const struct predictions *p, const struct mine_inputs *f,
                 const struct suspects *s, const struct label_conflicts *c, struct manifest_source *source,
                 struct error *err);

#endif

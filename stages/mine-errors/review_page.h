/* review_page.h: writes the review page: web/review, which is part of the
 * program, with the suspects as data. */
#ifndef WINNOW_REVIEW_PAGE_H
#define WINNOW_REVIEW_PAGE_H

#include "mine_errors.h"

/* o->review names the page; c: what stands on it beside the suspects. Pictures are referred to by paths
 * relative to it. The file appears whole or not at all. */
int review_write(const struct mine_options *o, const struct predictions *p, const struct mine_inputs *f,
                 const struct suspects *s, const struct label_conflicts *c, struct manifest_source *source,
                 struct error *err);

#endif

#include "manifest/filter.h"

int manifest_filter_open(struct manifest_filter *f, const char *input, const char *output,
                         const char *rejects, const char *const *reads, const char *const *adds,
                         struct error *err)
{
    return manifest_reader_open(&f->in, input, reads, err) ||
                   manifest_writer_open(&f->out, output, &f->in.schema, adds, err) ||
                   manifest_rejects_open(&f->rejects, rejects, &f->in.schema, err)
               ? -1
               : 0;
}

int manifest_filter_commit(struct manifest_filter *f, const struct common_options *common, struct error *err)
{
    return manifest_commit(&f->out, &f->rejects, 0, common, err);
}

void manifest_filter_close(struct manifest_filter *f)
{
    manifest_writer_discard(&f->out);
    manifest_writer_discard(&f->rejects);
    manifest_reader_close(&f->in);
}

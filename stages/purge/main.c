/*
 * purge: removes the data that runs derived from pictures that `fetch --takedown` or a later block list
 * removed from the store: rows of tables, variants, shard sets, caches, pages. It writes a table of its
 * actions with the columns action, path and rows.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"
#include "cli/stage.h"
#include "io/file_lock.h"
#include "io/io.h"
#include "purge.h"
#include "store/audit.h"
#include "store/partial_store.h"

struct purge_options {
    struct common_options common;
    const char *store;
    bool dry_run, deep;
};
static const struct option_row rows[] = {
    OPTION(struct purge_options, STRING, 0, "store", store, "DIR",
           "the store that fetch fills; its takedown.tsv lists the pictures to remove"),
    OPTION(struct purge_options, FLAG, 0, "deep", deep, NULL,
           "also hash every file in the runs, to find copies under other names"),
    OPTION(struct purge_options, FLAG, 'n', "dry-run", dry_run, NULL,
           "report what would be done, and change nothing"),
    COMMON_ROW_OUTPUT(struct purge_options, common),
    OPTION(struct purge_options, COUNT, 'v', "verbose", common.verbose, NULL,
           "print a line of counts at the end"),
    OPTION_ROW_END,
};

static const struct option_table table = {
    .name = "purge",
    .synopsis = "--store DIR RUN...",
    .summary = "remove everything that runs made from pictures that were taken down",
    .details =
        "`fetch --store DIR --takedown FILE` removes pictures from the store; purge then removes what "
        "runs made from them. It removes their rows from every table (*.tsv; by path, source, id, xxh128 "
        "or url), their variants, their records in shard sets, tar files that contain one, and the "
        "caches and pages of such a run, which make builds again. It also removes temporary files of "
        "killed programs, and all interrupted transfers in the store, which cannot be compared with a "
        "hash. It reports the models that were trained with such a picture: train them again. The output "
        "has a row for each action: action path rows. A second run finds nothing to do.",
    .rows = rows,
    .min_operands = 1,
    .max_operands = -1,
};

/* Removes interrupted transfers from the store. A part cannot be compared with a hash, so all parts are
 * removed. They only save time. */
static int remove_parts(struct purge *p, struct text *path, struct error *err)
{
    uint64_t n;
    char n_rows[24];
    if (partial_remove_all(p->store, p->dry_run, &n, err)) return -1;
    if (n == 0) return 0;
    text_clear(path);
    snprintf(n_rows, sizeof n_rows, "%llu", (unsigned long long)n);
    return text_printf(path, err, "%s/partial", p->store) ||
                   manifest_writer_row(p->report, NULL,
                                       (const char *const[]){"parts-removed", path->data, n_rows}, err)
               ? -1
               : 0;
}

int main(int argc, char **argv)
{
    static const char *const columns[] = {"action", "path", "rows", NULL};
    struct purge_options opt = {.common = COMMON_OPTIONS_DEFAULTS};
    struct manifest_writer report = MANIFEST_WRITER_EMPTY;
    struct file_lock lock = FILE_LOCK_EMPTY;
    struct purge p = {.report = &report};
    struct text path = TEXT_EMPTY;
    struct operands in;
    struct error err = {0};
    char *store = NULL;
    bool there;
    int store_fd = -1;
    stage_begin("purge");
    int rc = options_parse(&table, &opt, argc, argv, &in);
    if (rc != OPTIONS_RUN) return rc;
    rc = -1;
    if (!opt.store) {
        error_set(&err, EX_USAGE, "--store is missing");
        goto out;
    }
    if (!(store = realpath(opt.store, NULL))) {
        error_errno(&err, EX_NOINPUT, "cannot find the store '%s'", opt.store);
        goto out;
    }
    p.store = store;
    p.dry_run = opt.dry_run;
    p.deep = opt.deep;
    if (text_printf(&path, &err, "%s/lock", opt.store) || file_lock_take(&lock, path.data, &err)) goto out;
    text_clear(&path);
    if (text_printf(&path, &err, "%s/takedown.tsv", opt.store) ||
        manifest_writer_open(&report, opt.common.output, NULL, columns, &err))
        goto out;
    if ((store_fd = open(opt.store, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        error_errno(&err, EX_NOINPUT, "cannot open the store '%s'", opt.store);
        goto out;
    }
    if (takedown_mend(store_fd, opt.store, opt.dry_run, &there, &err) ||
        (there && taken_down_read(&p.list, path.data, &err)))
        goto out;
    if (p.list.n_hashes + p.list.n_urls && remove_parts(&p, &path, &err)) goto out;
    for (int i = 0; i < in.n; i++)
        if (p.list.n_hashes + p.list.n_urls && purge_run(&p, in.items[i], &err)) goto out;
    if (manifest_writer_commit(&report, &err)) goto out;
    stage_note(&opt.common, "%llu rows and %llu files removed", (unsigned long long)p.counts.n_rows,
               (unsigned long long)p.counts.n_files);
    rc = p.damaged ? error_set(&err, EX_DATAERR, "some tables could not be read; see above") : 0;
out:
    manifest_writer_discard(&report);
    taken_down_release(&p.list);
    file_lock_release(&lock);
    text_release(&path);
    if (store_fd >= 0) close(store_fd);
    free(store);
    options_release(&table, &opt);
    return stage_end(rc, &err, NULL, &opt.common);
}

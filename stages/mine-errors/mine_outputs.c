/* mine_outputs.c: writes the tables: suspects, matrices, summary, and pairs of classes that are confused. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/number.h"
#include "io/spill.h"
#include "metric/picked_rows.h"
#include "mine_errors.h"

static void method_list(unsigned methods, char *out, size_t bytes)
{
    size_t at = 0;
    out[0] = 0;
    for (int m = 0; m < MINE_METHODS; m++)
        if (methods >> m & 1)
            at += (size_t)snprintf(out + at, bytes - at, "%s%s", at ? "," : "", mine_method_names[m]);
}

int mine_write_suspects(const struct mine_options *o, const struct predictions *p,
                        const struct mine_inputs *f, const struct suspects *s, struct manifest_source *source,
                        struct error *err)
{
    const char *adds[14] = {"suggested", "score", "method", "rank", "note"}, *values[14] = {0};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    struct picked_rows picked = PICKED_ROWS_EMPTY;
    uint32_t *rows = mem_alloc((s->n ? s->n : 1) * sizeof *rows, err);
    size_t n_adds = 5, aum_at = 0, path_at = 0, group_at = 0, split_at = 0, alike_at = 0, distance_at = 0;
    int rc = -1;
    if (!rows) return -1;
    for (size_t i = 0; i < s->n; i++)
        rows[i] = s->items[i].row;
    if (picked_rows_read(&picked, p, source, rows, s->n, err)) goto out;
    int split = manifest_column(&picked.schema, "split");
    if (f->aum) adds[aum_at = n_adds++] = "aum";
    if (f->has_path && manifest_column(&picked.schema, "path") < 0) adds[path_at = n_adds++] = "path";
    if (f->has_group && manifest_column(&picked.schema, "group") < 0) adds[group_at = n_adds++] = "group";
    if (f->has_split && split < 0) adds[split_at = n_adds++] = "split";
    if (f->distance) {
        adds[alike_at = n_adds++] = "alike";
        adds[distance_at = n_adds++] = "distance";
    }
    if (manifest_writer_open(&w, o->common.output, &picked.schema, adds, err)) goto out;
    for (size_t i = 0; i < s->n; i++) {
        const struct suspect *x = &s->items[i];
        char score[32], methods[128], rank[32], aum[32] = "", alike[32] = "", distance[32] = "";
        const char *const *cells = picked_row(&picked, i, err);
        if (!cells) goto out;
        if (i % 256 == 0) spill_breathe();
        method_list(x->methods, methods, sizeof methods);
        snprintf(rank, sizeof rank, "%zu", i + 1);
        values[0] = p->classes[x->suggested];
        values[1] = format_real(score, x->score);
        values[2] = methods;
        values[3] = rank;
        const char *in_split = split >= 0                         ? cells[split]
                               : f->has_split && f->split[x->row] ? f->split[x->row]
                                                                  : "";
        values[4] = strcmp(in_split, "test") == 0 ? "test" : "";
        if (aum_at) values[aum_at] = isnan(f->aum[x->row]) ? "" : format_real(aum, f->aum[x->row]);
        if (path_at) values[path_at] = f->path[x->row];
        if (group_at) values[group_at] = f->group[x->row];
        if (split_at) values[split_at] = f->split[x->row];
        if (alike_at) {
            if (x->group) snprintf(alike, sizeof alike, "%u", x->group);
            if (!isnan(f->distance[x->row])) snprintf(distance, sizeof distance, "%.4f", f->distance[x->row]);
            values[alike_at] = alike;
            values[distance_at] = distance;
        }
        if (manifest_writer_row(&w, cells, values, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    picked_rows_release(&picked);
    free(rows);
    return rc;
}

/* --- small TSV files --- */

struct named_matrix {
    const char *name;
    const int64_t *integers;
    const double *reals;
    int n_columns;
};

int mine_write_matrices(const char *path, const struct predictions *p, const struct label_errors *e,
                        struct error *err)
{
    static const char *const columns[] = {"matrix", "row", "col", "value", "row_class", "col_class", NULL};
    int k = p->n_classes;
    const struct named_matrix matrices[] = {{"confident_joint_uncalibrated", e->confident_uncalibrated, NULL,
                                             k},
                                            {"confident_joint", e->confident, NULL, k},
                                            {"joint", NULL, e->joint, k},
                                            {"noise_matrix", NULL, e->noise, k},
                                            {"inverse_noise_matrix", NULL, e->inverse_noise, k},
                                            {"threshold", NULL, e->threshold, 1},
                                            {"py", NULL, e->prior, 1},
                                            {"class_label_quality", NULL, e->quality, 1}};
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    assert(e->confident_uncalibrated && e->confident);
    if (manifest_writer_open(&w, path, NULL, columns, err)) goto out;
    for (size_t m = 0; m < sizeof matrices / sizeof *matrices; m++)
        for (int i = 0; i < k * matrices[m].n_columns; i++) {
            int r = i / matrices[m].n_columns, c = i % matrices[m].n_columns;
            char row[16], column[16], value[32];
            snprintf(row, sizeof row, "%d", r);
            snprintf(column, sizeof column, "%d", c);
            if (matrices[m].integers)
                snprintf(value, sizeof value, "%lld", (long long)matrices[m].integers[i]);
            else
                format_real(value, matrices[m].reals[i]);
            const char *cells[] = {matrices[m].name, row,
                                   column,           value,
                                   p->classes[r],    matrices[m].n_columns == k ? p->classes[c] : ""};
            if (manifest_writer_row(&w, NULL, cells, err)) goto out;
        }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    return rc;
}

int mine_write_summary(const char *path, const struct mine_options *o, const struct predictions *p,
                       const struct label_errors *e, const struct suspects *s, struct error *err)
{
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    size_t by_method[MINE_METHODS] = {0};
    char number[32];
    int rc;
    if (atomic_file_open(&f, path, err)) return -1;
    for (size_t i = 0; i < s->n; i++)
        for (int m = 0; m < MINE_METHODS; m++)
            by_method[m] += s->items[i].methods >> m & 1;
    fprintf(f.stream,
            "key\tvalue\nclasses\t%d\nexamples\t%zu\nnum_label_issues\t%zu\nnum_label_issues_off_diagonal_"
            "calibrated\t%lld\n",
            p->n_classes, p->n_rows, e->n_issues, (long long)e->n_off_diagonal_calibrated);
    fprintf(f.stream, "overall_label_health_score\t%s\nfilter\t%s\nrank\t%s\nsuspects\t%zu\n",
            format_real(number, e->health), label_filter_names[o->filter], label_rank_names[o->rank], s->n);
    for (int m = 0; m < MINE_METHODS; m++)
        fprintf(f.stream, "suspects by %s\t%zu\n", mine_method_names[m], by_method[m]);
    rc = atomic_file_commit(&f, err);
    atomic_file_discard(&f);
    return rc;
}

struct pair {
    int given, predicted;
    uint64_t n;
};

static int compare_pairs(const void *x, const void *y)
{
    const struct pair *a = x, *b = y;
    return a->n != b->n           ? (a->n > b->n ? -1 : 1)
           : a->given != b->given ? a->given - b->given
                                  : a->predicted - b->predicted;
}

int mine_write_pairs(const char *path, const struct predictions *p, struct error *err)
{
    static const char *const columns[] = {"label", "pred", "count", "share", NULL};
    size_t k = (size_t)p->n_classes;
    struct pair *pairs = mem_zalloc(k * k, sizeof *pairs, err);
    uint64_t *given = mem_zalloc(k, sizeof *given, err);
    struct manifest_writer w = MANIFEST_WRITER_EMPTY;
    int rc = -1;
    if (!pairs || !given || manifest_writer_open(&w, path, NULL, columns, err)) goto out;
    for (size_t i = 0; i < k * k; i++)
        pairs[i] = (struct pair){(int)(i / k), (int)(i % k), 0};
    for (size_t i = 0; i < p->n_rows; i++) {
        given[p->label[i]]++;
        pairs[(size_t)p->label[i] * k + (size_t)p->pred[i]].n++;
    }
    qsort(pairs, k * k, sizeof *pairs, compare_pairs);
    for (size_t i = 0; i < k * k; i++) {
        char count[32], share[32];
        if (pairs[i].given == pairs[i].predicted || pairs[i].n == 0) continue;
        snprintf(count, sizeof count, "%llu", (unsigned long long)pairs[i].n);
        const char *row[] = {p->classes[pairs[i].given], p->classes[pairs[i].predicted], count,
                             format_real(share, (double)pairs[i].n / (double)given[pairs[i].given])};
        if (manifest_writer_row(&w, NULL, row, err)) goto out;
    }
    rc = manifest_writer_commit(&w, err);
out:
    manifest_writer_discard(&w);
    free(pairs);
    free(given);
    return rc;
}

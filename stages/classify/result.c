/* result.c: writes one line for each picture, as a manifest row or as JSON. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/number.h"
#include "base/text.h"
#include "manifest/tsv.h"
#include "classify.h"

int result_argmax(const float *p, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (p[i] > p[best]) best = i;
    return best;
}

/* Returns the k-th likeliest class; ties are broken by position. k is small, so selection by rank is fast
 * enough. */
static int ranked(const float *p, int n, int64_t k)
{
    for (int i = 0; i < n; i++) {
        int64_t rank = 0;
        for (int j = 0; j < n; j++)
            rank += p[j] > p[i] || (p[j] == p[i] && j < i);
        if (rank == k) return i;
    }
    return 0;
}

static int put_flags(const struct result_writer *w, struct text *line, uint64_t flags, struct error *err)
{
    bool first = true;
    for (size_t t = 0; t < w->classifier->n_thresholds; t++)
        if (flags >> t & 1) {
            if ((!first && text_puts(line, ",", err)) ||
                tsv_escape(line, w->classifier->thresholds[t].text, err))
                return -1;
            first = false;
        }
    return 0;
}

/* Writes, for each threshold, the share of the scored frames that meet it. */
static int put_shares(struct result_writer *w, const struct scores *s, struct error *err)
{
    char number[32];
    for (size_t t = 0; t < w->classifier->n_thresholds; t++)
        if ((t > 0 && text_puts(&w->line, ",", err)) ||
            tsv_escape(&w->line, w->classifier->thresholds[t].text, err) ||
            text_printf(&w->line, err, "=%s", format_f32(number, (float)s->over[t] / (float)s->n_frames)))
            return -1;
    return 0;
}

/* --- TSV --- */

static int tsv_header(struct result_writer *w, struct error *err)
{
    const struct classifier *c = w->classifier;
    text_clear(&w->line);
    for (size_t i = 0; i < w->base->n; i++)
        if (tsv_escape(&w->line, w->base->names[i], err) || text_puts(&w->line, "\t", err)) return -1;
    if ((w->opt->hash && text_puts(&w->line, "xxh128\t", err)) || text_puts(&w->line, "pred", err)) return -1;
    for (int i = 0; i < c->n_classes; i++)
        if (text_puts(&w->line, "\tp_", err) || tsv_escape(&w->line, c->class_names[i], err)) return -1;
    if ((w->opt->top > 0 && text_puts(&w->line, "\ttop", err)) ||
        (c->n_thresholds > 0 && text_puts(&w->line, "\tflagged", err)) ||
        (w->opt->frames && text_puts(&w->line, "\tframes_scored", err)) ||
        (w->opt->frames && c->n_thresholds > 0 && text_puts(&w->line, "\tframes_over", err)) ||
        (c->decisions.n_views > 0 && text_puts(&w->line, "\tdecision", err)) ||
        (w->live && text_puts(&w->line, "\treject_reason\treject_detail", err)))
        return -1;
    return 0;
}

static int tsv_row(struct result_writer *w, const struct result *r, struct error *err)
{
    const struct classifier *c = w->classifier;
    char number[32];
    text_clear(&w->line);
    for (size_t i = 0; i < w->base->n; i++)
        if (tsv_escape(&w->line, r->base[i] ? r->base[i] : "", err) || text_puts(&w->line, "\t", err))
            return -1;
    if (w->opt->hash && (text_puts(&w->line, r->xxh128, err) || text_puts(&w->line, "\t", err))) return -1;
    if (r->scores && tsv_escape(&w->line, c->class_names[result_argmax(r->scores->p, c->n_classes)], err))
        return -1;
    for (int i = 0; i < c->n_classes; i++)
        if (text_puts(&w->line, "\t", err) ||
            (r->scores && text_puts(&w->line, format_f32(number, r->scores->p[i]), err)))
            return -1;
    if (w->opt->top > 0) {
        if (text_puts(&w->line, "\t", err)) return -1;
        for (int64_t k = 0; r->scores && k < w->opt->top && k < c->n_classes; k++) {
            int i = ranked(r->scores->p, c->n_classes, k);
            if ((k && text_puts(&w->line, " ", err)) || tsv_escape(&w->line, c->class_names[i], err) ||
                text_printf(&w->line, err, "=%s", format_f32(number, r->scores->p[i])))
                return -1;
        }
    }
    if (c->n_thresholds > 0 && (text_puts(&w->line, "\t", err) || put_flags(w, &w->line, r->flags, err)))
        return -1;
    if (w->opt->frames && (text_puts(&w->line, "\t", err) ||
                           (r->scores && text_printf(&w->line, err, "%d", r->scores->n_frames))))
        return -1;
    if (w->opt->frames && c->n_thresholds > 0 &&
        (text_puts(&w->line, "\t", err) || (r->scores && put_shares(w, r->scores, err))))
        return -1;
    if (c->decisions.n_views > 0 &&
        (text_puts(&w->line, "\t", err) ||
         (r->scores && text_puts(&w->line, net_decision_names[r->scores->decision], err))))
        return -1;
    if (w->live && (text_puts(&w->line, "\t", err) || text_puts(&w->line, r->reason ? r->reason : "", err) ||
                    text_puts(&w->line, "\t", err) || tsv_escape(&w->line, r->detail ? r->detail : "", err)))
        return -1;
    return 0;
}

/* --- JSON --- */

static int json_string(struct text *line, const char *s, struct error *err)
{
    if (text_puts(line, "\"", err)) return -1;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        int rc;
        if (*p == '"' || *p == '\\')
            rc = text_printf(line, err, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            rc = text_printf(line, err, "\\u%04x", *p);
        else
            rc = text_add(line, p, 1, err);
        if (rc) return -1;
    }
    return text_puts(line, "\"", err);
}

static int json_pair(struct text *line, const char *key, const char *value, struct error *err)
{
    return (line->n_bytes > 1 && text_puts(line, ",", err)) || json_string(line, key, err) ||
                   text_puts(line, ":", err) || json_string(line, value, err)
               ? -1
               : 0;
}

int result_json(struct result_writer *w, const struct result *r, struct error *err)
{
    const struct classifier *c = w->classifier;
    struct text *line = &w->line;
    char number[32];
    text_clear(line);
    if (text_puts(line, "{", err)) return -1;
    for (size_t i = 0; i < w->base->n; i++)
        if (r->base[i] && r->base[i][0] && json_pair(line, w->base->names[i], r->base[i], err)) return -1;
    if (w->opt->hash && json_pair(line, "xxh128", r->xxh128, err)) return -1;
    if (!r->scores)
        return json_pair(line, "reject_reason", r->reason, err) ||
                       json_pair(line, "reject_detail", r->detail, err) || text_puts(line, "}", err)
                   ? -1
                   : 0;
    if (json_pair(line, "pred", c->class_names[result_argmax(r->scores->p, c->n_classes)], err) ||
        text_puts(line, ",\"p\":{", err))
        return -1;
    int64_t n = w->opt->top > 0 && w->opt->top < c->n_classes ? w->opt->top : c->n_classes;
    for (int64_t k = 0; k < n; k++) {
        int i = w->opt->top > 0 ? ranked(r->scores->p, c->n_classes, k) : (int)k;
        if ((k && text_puts(line, ",", err)) || json_string(line, c->class_names[i], err) ||
            text_printf(line, err, ":%s", format_f32(number, r->scores->p[i])))
            return -1;
    }
    if (text_puts(line, "}", err)) return -1;
    if (c->n_thresholds > 0) {
        bool first = true;
        if (text_puts(line, ",\"flagged\":[", err)) return -1;
        for (size_t t = 0; t < c->n_thresholds; t++)
            if (r->flags >> t & 1) {
                if ((!first && text_puts(line, ",", err)) || json_string(line, c->thresholds[t].text, err))
                    return -1;
                first = false;
            }
        if (text_puts(line, "]", err)) return -1;
    }
    if (w->opt->frames && text_printf(line, err, ",\"frames_scored\":%d", r->scores->n_frames)) return -1;
    if (w->opt->frames && c->n_thresholds > 0) {
        if (text_puts(line, ",\"frames_over\":{", err)) return -1;
        for (size_t t = 0; t < c->n_thresholds; t++)
            if ((t > 0 && text_puts(line, ",", err)) || json_string(line, c->thresholds[t].text, err) ||
                text_printf(line, err, ":%s",
                            format_f32(number, (float)r->scores->over[t] / (float)r->scores->n_frames)))
                return -1;
        if (text_puts(line, "}", err)) return -1;
    }
    if (c->decisions.n_views > 0 &&
        (json_pair(line, "decision", net_decision_names[r->scores->decision], err) ||
         (r->scores->decided_by >= 0 &&
          json_pair(line, "decided_by", c->decisions.views[r->scores->decided_by].name, err))))
        return -1;
    return text_puts(line, "}", err);
}

/* --- the stream --- */

static int put_line(struct result_writer *w, struct error *err)
{
    if (text_puts(&w->line, "\n", err)) return -1;
    if (fault_here(FAULT_WRITE) || fwrite(w->line.data, 1, w->line.n_bytes, w->stream) != w->line.n_bytes ||
        (w->live && fflush(w->stream)))
        return error_errno(err, EX_IOERR, "cannot write '%s'",
                           w->opt->common.output ? w->opt->common.output : "standard output");
    return 0;
}

int result_writer_open(struct result_writer *w, const struct classifier *c,
                       const struct classify_options *opt, const struct manifest_schema *base, bool live,
                       struct error *err)
{
    const char *path = opt->common.output;
    bool fresh = true;
    *w = (struct result_writer){.file = ATOMIC_FILE_EMPTY,
                                .classifier = c,
                                .opt = opt,
                                .base = base,
                                .live = live};
    if (!live) {
        if (atomic_file_open(&w->file, path, err)) return -1;
        w->stream = w->file.stream;
    } else if (!path || strcmp(path, "-") == 0) {
        w->stream = stdout;
    } else {
        w->stream = fopen(path, "ae");
        if (!w->stream) return error_errno(err, EX_CANTCREAT, "cannot open '%s'", path);
        struct stat st;
        fresh = fstat(fileno(w->stream), &st) != 0 || st.st_size == 0; /* 0 for a pipe, too */
    }
    if (opt->format != RESULT_TSV || !fresh) return 0;
    return tsv_header(w, err) || put_line(w, err) ? -1 : 0;
}

int result_writer_put(struct result_writer *w, const struct result *r, struct error *err)
{
    return (w->opt->format == RESULT_TSV ? tsv_row(w, r, err) : result_json(w, r, err)) || put_line(w, err)
               ? -1
               : 0;
}

int result_writer_commit(struct result_writer *w, struct error *err)
{
    if (!w->live) return atomic_file_commit(&w->file, err);
    if (fflush(w->stream))
        return error_errno(err, EX_IOERR, "cannot write '%s'",
                           w->opt->common.output ? w->opt->common.output : "standard output");
    return 0;
}

void result_writer_close(struct result_writer *w)
{
    atomic_file_discard(&w->file);
    if (w->live && w->stream && w->stream != stdout) fclose(w->stream);
    text_release(&w->line);
    *w = (struct result_writer){.file = ATOMIC_FILE_EMPTY};
}

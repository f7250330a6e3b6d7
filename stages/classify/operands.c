/* operands.c: classifies pictures, folders and manifests as one ordered stream. Pictures are decoded ahead
 * and classified in batches, and results are written in the order of the input. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "classify.h"

/* A picture in progress. It is one block of memory: the fields and the path to open follow the struct. */
struct job {
    const char **fields;   /* base columns */
    const char *file;      /* the path that is opened; NULL when it was refused */
    struct scores *scores; /* NULL when unreadable; owned */
    char xxh128[33];
    const char *reason;
    char detail[200];
};

struct stream {
    const struct classify_options *opt;
    const struct operands *operands;
    int next;            /* operand */
    bool standard_input; /* there are no operands: a manifest is read from standard input */
    struct manifest_reader reader;
    bool reading;
    int *kept, path_column, label_column; /* of the open manifest: base column i is its column kept[i] */
    char **files;                         /* of the folder being walked, sorted */
    size_t n_files, at_file, room;
    bool pass_through; /* the one manifest's columns are the base columns */
    struct manifest_schema base;
    char **base_names;
};

/* --- what there is --- */

static bool is_manifest(const char *operand)
{
    return strcmp(operand, "-") == 0 || text_ends(operand, ".tsv");
}

static bool is_image_name(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".jpe",  ".jfif", ".png", ".webp",
                                          ".gif", ".avif", ".heic", ".heif", ".hif", ".jxl"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (n > strlen(endings[i]) && strcasecmp(name + n - strlen(endings[i]), endings[i]) == 0) return true;
    return false;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int walk(struct stream *s, const char *folder, int depth, struct error *err)
{
    DIR *d = opendir(folder);
    int rc = 0;
    if (!d) return error_errno(err, EX_NOINPUT, "cannot read the folder '%s'", folder);
    if (depth > 64) {
        closedir(d);
        return error_set(err, EX_DATAERR, "'%s' is nested too deeply", folder);
    }
    for (struct dirent *e; !rc && (e = io_next_entry(d, folder, &rc, err));) {
        struct text path = TEXT_EMPTY;
        struct stat st;
        if (e->d_name[0] == '.') continue;
        rc = text_printf(&path, err, "%s%s%s", folder, text_ends(folder, "/") ? "" : "/", e->d_name);
        /* Links to files are followed. Links to folders are not, because they may form a circle. */
        errno = 0;
        if (!rc && !lstat(path.data, &st) && S_ISDIR(st.st_mode))
            rc = walk(s, path.data, depth + 1, err);
        else if (!rc && errno == 0 && is_image_name(e->d_name) && !stat(path.data, &st) &&
                 S_ISREG(st.st_mode) &&
                 !(rc = mem_grow(&s->files, &s->room, s->n_files + 1, sizeof *s->files, err))) {
            s->files[s->n_files++] = path.data;
            continue;
        } else if (!rc && errno_of_machine(errno)) {
            rc = error_errno(err, EX_OSERR, "cannot look at '%s'", path.data);
        }
        text_release(&path);
    }
    closedir(d);
    return rc;
}

/* --- columns --- */

/* Whether the results add a column with this name. A column from an earlier run is left out, so that it does
 * not occur twice. */
static bool is_result_column(const struct classifier *c, const struct classify_options *opt, const char *name)
{
    if (strcmp(name, "pred") == 0 || (opt->hash && strcmp(name, "xxh128") == 0) ||
        (opt->top > 0 && strcmp(name, "top") == 0) || (c->n_thresholds > 0 && strcmp(name, "flagged") == 0) ||
        (opt->frames && (strcmp(name, "frames_scored") == 0 || strcmp(name, "frames_over") == 0)))
        return true;
    for (int i = 0; text_starts(name, "p_") && i < c->n_classes; i++)
        if (strcmp(name + 2, c->class_names[i]) == 0) return true;
    return false;
}

static int open_manifest(struct stream *s, const struct classifier *c, const char *name, struct error *err)
{
    static const char *const required[] = {"path", NULL};
    if (manifest_reader_open(&s->reader, name, required, err)) return -1;
    s->reading = true;
    s->path_column = manifest_column(&s->reader.schema, "path");
    s->label_column = manifest_column(&s->reader.schema, "label");
    if (!s->pass_through) return 0;
    size_t n = s->reader.schema.n;
    if (!(s->kept = mem_zalloc(n, sizeof *s->kept, err)) ||
        !(s->base_names = mem_zalloc(n, sizeof *s->base_names, err)))
        return -1;
    s->base = (struct manifest_schema){.names = s->base_names};
    for (size_t i = 0; i < n; i++)
        if (!is_result_column(c, s->opt, s->reader.schema.names[i])) {
            s->kept[s->base.n] = (int)i;
            if (!(s->base_names[s->base.n] = mem_strdup(s->reader.schema.names[i], err))) return -1;
            s->base.n++;
        }
    return 0;
}

static int has_label(const char *name, bool *out, struct error *err)
{
    static const char *const required[] = {"path", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    if (strcmp(name, "-") == 0) { /* cannot be read twice */
        *out = true;
        return 0;
    }
    if (manifest_reader_open(&r, name, required, err)) return -1;
    *out = *out || manifest_column(&r.schema, "label") >= 0;
    manifest_reader_close(&r);
    return 0;
}

static int stream_open(struct stream *s, const struct classifier *c, const struct classify_options *opt,
                       const struct operands *operands, struct error *err)
{
    bool label = false;
    *s = (struct stream){.opt = opt, .operands = operands};
    s->standard_input = operands->n == 0;
    s->pass_through = s->standard_input || (operands->n == 1 && is_manifest(operands->items[0]));
    if (s->pass_through) {
        s->next = operands->n;
        return open_manifest(s, c, s->standard_input ? NULL : operands->items[0], err);
    }
    for (int i = 0; i < operands->n; i++)
        if (is_manifest(operands->items[i]) && has_label(operands->items[i], &label, err)) return -1;
    if (!(s->base_names = mem_zalloc(2, sizeof *s->base_names, err))) return -1;
    s->base.names = s->base_names;
    if (!(s->base_names[s->base.n++] = mem_strdup("path", err)) ||
        (label && !(s->base_names[s->base.n++] = mem_strdup("label", err))))
        return -1;
    return 0;
}

static void stream_close(struct stream *s)
{
    if (s->reading) manifest_reader_close(&s->reader);
    for (size_t i = s->at_file; i < s->n_files; i++)
        free(s->files[i]);
    free(s->files);
    for (size_t i = 0; s->base_names && i < s->base.n; i++)
        free(s->base_names[i]);
    free(s->base_names);
    free(s->kept);
}

/* --- the next image --- */

static struct job *make_job(const char *const *fields, size_t n, const char *file, struct error *err)
{
    size_t bytes = sizeof(struct job) + n * sizeof(char *), at = bytes;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(fields[i]) + 1;
    bytes += file ? strlen(file) + 1 : 0;
    struct job *job = mem_alloc(bytes, err);
    if (!job) return NULL;
    *job = (struct job){.fields = (const char **)(job + 1)};
    char *to = (char *)job + at;
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(fields[i]) + 1;
        job->fields[i] = memcpy(to, fields[i], length);
        to += length;
    }
    if (file) job->file = memcpy(to, file, strlen(file) + 1);
    return job;
}

static int job_from_path(struct stream *s, const char *path, struct job **out, struct error *err)
{
    const char *fields[2] = {path, ""};
    assert(s->base.n <= 2); /* files are operands only when the columns of no manifest are copied */
    *out = make_job(fields, s->base.n, path, err);
    if (*out && !text_is_utf8(path, strlen(path))) {
        (*out)->file = NULL;
        (*out)->reason = "path-not-utf8";
    }
    return *out ? 1 : -1;
}

static int job_from_row(struct stream *s, struct job **out, struct error *err)
{
    const struct manifest_reader *r = &s->reader;
    const char *mixed[2] = {r->fields[s->path_column], manifest_field(r, s->label_column)}, **fields = mixed;
    struct text file = TEXT_EMPTY;
    struct error refused = {0};
    assert(s->pass_through || s->base.n <= 2);
    if (s->pass_through) {
        if (!(fields = mem_alloc((s->base.n + 1) * sizeof *fields, err))) return -1;
        for (size_t i = 0; i < s->base.n; i++)
            fields[i] = r->fields[s->kept[i]];
    }
    bool ok = !path_join(&file, s->opt->common.root, r->fields[s->path_column], s->opt->common.allow_outside,
                         &refused);
    *out = make_job(fields, s->base.n, ok ? file.data : NULL, err);
    if (*out && !ok) {
        (*out)->reason = "outside-root";
        snprintf((*out)->detail, sizeof(*out)->detail, "%.*s", (int)sizeof(*out)->detail - 1, refused.text);
    }
    if (fields != mixed) free(fields);
    text_release(&file);
    return *out ? 1 : -1;
}

/* Sets *out to the next picture. Returns 1, 0 when there are no more, or -1 with err set. */
static int stream_next(struct stream *s, const struct classifier *c, struct job **out, struct error *err)
{
    for (;;) {
        if (s->reading) {
            int got = manifest_reader_next(&s->reader, err);
            if (got < 0) return -1;
            if (got > 0) return job_from_row(s, out, err);
            manifest_reader_close(&s->reader);
            s->reading = false;
            continue;
        }
        if (s->at_file < s->n_files) {
            char *path = s->files[s->at_file++];
            int rc = job_from_path(s, path, out, err);
            free(path);
            return rc;
        }
        if (s->next >= s->operands->n) return 0;
        const char *operand = s->operands->items[s->next++];
        struct stat st;
        if (is_manifest(operand)) {
            if (open_manifest(s, c, operand, err)) return -1;
        } else if (!stat(operand, &st) && S_ISDIR(st.st_mode)) {
            s->n_files = s->at_file = 0;
            if (walk(s, operand, 0, err)) return -1;
            qsort(s->files, s->n_files, sizeof *s->files, compare_names);
        } else
            return job_from_path(s, operand, out, err);
    }
}

/* --- running --- */

struct run {
    struct classifier *c;
    const struct classify_options *opt;
    struct stream stream;
    struct result_writer out;
    struct manifest_writer rejects;
    struct stage_counts *n;
    struct progress progress;
    struct job **pending; /* in order; those with a slot wait for the forward pass */
    size_t n_pending, room;
    bool ended;
};

static void drop_job(struct job *job)
{
    free(job->scores);
    free(job);
}

static int finish_job(struct run *r, struct job *job, struct error *err)
{
    struct classifier *c = r->c;
    if (!job->scores) {
        r->n->n_rejected++;
        c->n_unreadable++;
        if (!r->opt->common.rejects)
            stage_warn("cannot classify '%s': %s%s%s", job->file ? job->file : job->fields[0], job->reason,
                       job->detail[0] ? ": " : "", job->detail);
        return manifest_writer_reject(&r->rejects, job->fields, job->reason, job->detail, err);
    }
    struct result result = {.base = job->fields,
                            .xxh128 = job->xxh128,
                            .scores = job->scores,
                            .flags = classifier_judge(c, job->scores)};
    r->n->n_kept++;
    return result_writer_put(&r->out, &result, err);
}

static int flush_batch(struct run *r, struct error *err)
{
    struct classifier *c = r->c;
    if (classifier_flush(c, err)) return -1;
    size_t done = 0;
    int rc = 0;
    for (; done < r->n_pending && !rc; done++) {
        rc = finish_job(r, r->pending[done], err);
        drop_job(r->pending[done]);
    }
    if (done > 0) memmove(r->pending, r->pending + done, (r->n_pending - done) * sizeof *r->pending);
    r->n_pending -= done;
    progress_update(&r->progress, r->n->n_kept + r->n->n_rejected, NULL);
    return rc;
}

/* Moves the oldest picture from the decoders to the batch. Returns 1, 0 when there is none, or -1 with err
 * set. */
static int take_one(struct run *r, struct error *err)
{
    struct classifier *c = r->c;
    struct loaded_image image;
    int got = image_loader_take(c->loader, &image, err);
    if (got == 0) return 0;
    struct job *job = image.token;
    if (got < 0) {
        free(job);
        return -1;
    }
    memcpy(job->xxh128, image.xxh128, sizeof job->xxh128);
    if (mem_grow(&r->pending, &r->room, r->n_pending + 1, sizeof *r->pending, err)) {
        free(job);
        return -1;
    }
    r->pending[r->n_pending++] = job;
    if (!job->reason && image.pixels) {
        /* The first picture is decoded, and the weights are needed now. */
        if (classifier_ready(c, r->opt, r->ended ? r->n->n_read : 0, err)) return -1;
        if (classifier_add(c, &image, &job->scores, err)) return -1;
    } else if (!job->reason) {
        job->reason = image.reason;
        snprintf(job->detail, sizeof job->detail, "%s", image.detail);
    }
    if (c->predictor ? c->filled == c->batch : r->n_pending >= 64) return flush_batch(r, err) ? -1 : 1;
    return 1;
}

static int run_all(struct run *r, struct error *err)
{
    struct classifier *c = r->c;
    for (;;) {
        while (!r->ended && !image_loader_full(c->loader)) {
            struct job *job;
            int got = stream_next(&r->stream, c, &job, err);
            if (got < 0) return -1;
            if (got == 0) {
                r->ended = true;
                break;
            }
            r->n->n_read++;
            /* A refused path keeps its position in the order: it is submitted to the loader as a file that
             * does not exist. */
            if (image_loader_submit(c->loader, job->file ? job->file : "/dev/null/refused", job, err)) {
                free(job);
                return -1;
            }
        }
        int got = take_one(r, err);
        if (got < 0) return -1;
        if (got == 0 && r->ended) return flush_batch(r, err);
    }
}

int classify_operands(struct classifier *c, const struct classify_options *opt,
                      const struct operands *operands, struct stage_counts *n, struct error *err)
{
    struct run r = {.c = c,
                    .opt = opt,
                    .n = n,
                    .rejects = MANIFEST_WRITER_EMPTY,
                    .out = {.file = ATOMIC_FILE_EMPTY}};
    int rc = -1;
    if (stream_open(&r.stream, c, opt, operands, err) ||
        manifest_rejects_open(&r.rejects, opt->common.rejects, &r.stream.base, err) ||
        result_writer_open(&r.out, c, opt, &r.stream.base, false, err))
        goto out;
    progress_start(&r.progress, &opt->common, 0, "pictures");
    rc = run_all(&r, err);
    progress_end(&r.progress);
    if (!rc && (manifest_commit(NULL, &r.rejects, n->n_kept, &opt->common, err) ||
                result_writer_commit(&r.out, err)))
        rc = -1;
out:
    for (size_t i = 0; i < r.n_pending; i++)
        drop_job(r.pending[i]);
    image_loader_drop(c->loader, free);
    free(r.pending);
    manifest_writer_discard(&r.rejects);
    result_writer_close(&r.out);
    stream_close(&r.stream);
    return rc;
}

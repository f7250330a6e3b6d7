/* partial.c: see partial.h. */
#include "partial.h"

#include <stdlib.h>
#include <string.h>

#include "attempt.h"

/* size at which a body in flight is stored first; then each time its size has doubled */
#define CHECKPOINT_BYTES (1u << 20)
#define MEMORY_SHARE 4 /* share of --memory for parts */

static bool partials_on_disk(const struct fetch_options *o)
{
    return o->partial_bytes > 0 && (o->blocklists.n == 0 || o->partial_unchecked);
}

static int mark_part(void *context, const struct xxh128 *key, struct error *err)
{
    struct entry *e = entries_find(context, key, "#");
    (void)err;
    if (e) e->has_part = true;
    return 0;
}

int partials_open(struct partials *ps, struct object_store *store, struct entries *es,
                  const struct fetch_options *o, int64_t now_s, struct error *err)
{
    uint64_t limit = partials_on_disk(o) ? o->partial_bytes : 0;
    return partial_store_open(&ps->store, store, limit, o->partial_for_s, now_s, mark_part, es, err);
}

/* --- in memory --- */

static void part_free(struct partial *p)
{
    if (p) partial_release(p);
    free(p);
}

static void forget_in_memory(struct partials *ps, struct hop *hop)
{
    if (!hop || !hop->part) return;
    if (!hop->part_lent) {
        ps->memory_bytes -= hop->part->n_image;
        part_free(hop->part);
    }
    hop->part = NULL;
    hop->part_lent = false;
}

void hop_free(struct partials *ps, struct entry *e)
{
    if (!e->hop) return;
    forget_in_memory(ps, e->hop);
    hop_forget_cookies(e->hop);
    free(e->hop->url);
    free(e->hop);
    e->hop = NULL;
}

/* --- parts on the disk --- */

static struct write_job *part_job(struct fetch *f, uint32_t index, struct partial *p)
{
    struct write_job *job = mem_zalloc(1, sizeof *job, f->err);
    if (!job) {
        fetch_abort(f);
        return NULL;
    }
    job->what = p ? JOB_PART : JOB_FORGET_PART;
    job->entry = index;
    job->part = p;
    job->n_body = p ? p->n_image : 0; /* what the writer's queue counts */
    journal_key(&job->key, fetch_entry(f, index)->url);
    return job;
}

void partial_drop(struct fetch *f, uint32_t index)
{
    struct entry *e = fetch_entry(f, index);
    struct write_job *job;
    forget_in_memory(&f->partials, e->hop);
    if (!e->has_part || !(job = part_job(f, index, NULL))) return;
    e->has_part = false;
    store_writer_submit(f->writer, job);
}

/* Called when the writer's thread has stored a part, or failed to. */
void partial_written(struct fetch *f, struct write_job *job)
{
    struct entry *e = fetch_entry(f, job->entry);
    if (job->what == JOB_FORGET_PART) return;
    if (job->verdict == VERDICT_FAILED && !f->partials.warned) {
        f->partials.warned = true;
        stage_warn("%s: interrupted transfers cannot be kept for later", job->error.text);
    }
    if (!e->hop || e->hop->part != job->part) {
        part_free(job->part);
        return;
    }
    /* The part belongs to this thread again. It is freed, because it can be read from the disk. */
    e->hop->part_lent = false;
    f->partials.memory_bytes += job->part->n_image;
    if (job->part_kept || f->partials.memory_bytes > f->opt->memory / MEMORY_SHARE)
        forget_in_memory(&f->partials, e->hop);
}

/* Returns a part with t's present body, or NULL when it cannot be continued later. */
static struct partial *part_of(const struct http_transfer *t)
{
    struct error ignored = {0};
    const struct http_headers *h = &t->headers;
    uint64_t whole = 0;
    if (!t->decided || !t->wanted || t->n_body < PARTIAL_MIN_BYTES ||
        (h->status != 200 && h->status != 206) ||
        !image_kind_kept(image_kind_of(t->body, t->n_body))) /* compressed: it cannot be continued */
        return NULL;
    const char *validator = http_headers_strong_validator(h);
    if (!*validator && t->resumed && http_headers_same_version(h, t->if_range))
        validator = t->if_range; /* a 206 need not contain a strong validator */
    if (!*validator) return NULL;
    if (h->status == 206)
        whole = h->range_last >= 0 ? (uint64_t)h->range_last + 1 : 0;
    else if (h->content_bytes > 0)
        whole = (uint64_t)h->content_bytes;
    if (whole && whole <= t->n_body) return NULL; /* the body is complete, or longer than announced */
    struct partial *p = mem_zalloc(1, sizeof *p, &ignored);
    if (p && partial_make(p, t->url, validator, whole, t->body, t->n_body, &ignored)) {
        free(p);
        p = NULL;
    }
    return p;
}

static void save(struct fetch *f, uint32_t index, struct partial *p, bool in_memory)
{
    struct entry *e = fetch_entry(f, index);
    struct error ignored = {0};
    struct hop *hop = in_memory ? entry_need_hop(e, &ignored) : NULL;
    if (hop) forget_in_memory(&f->partials, hop);
    if (!partials_on_disk(f->opt)) {
        if (!hop || f->partials.memory_bytes + p->n_image > f->opt->memory / MEMORY_SHARE) {
            part_free(p);
            return;
        }
        hop->part = p;
        f->partials.memory_bytes += p->n_image;
        return;
    }
    struct write_job *job = part_job(f, index, p);
    if (!job) {
        part_free(p);
        return;
    }
    if (hop) {
        hop->part = p;
        hop->part_lent = true;
    }
    e->has_part = true;
    store_writer_submit(f->writer, job);
}

/* --- requests and responses --- */

/* Puts the stored part of the entry's body into the request, if t requests the same URL. */
int partial_continue(struct fetch *f, uint32_t index, struct http_transfer *t, struct error *err)
{
    struct entry *e = fetch_entry(f, index);
    struct partial read = PARTIAL_EMPTY;
    const struct partial *p = e->hop ? e->hop->part : NULL;
    struct xxh128 key;
    int rc = 0;
    if (!p && e->has_part) {
        journal_key(&key, e->url);
        int got = partial_store_get(&f->partials.store, &key, &read, err);
        if (got < 0) return -1;
        e->has_part = got > 0;
        p = &read;
    }
    if (p && p->image && strcmp(p->url, t->url) == 0) {
        rc = http_set_prefix(f->engine, t, p->body, p->n_body, p->validator, p->total_bytes, err);
        t->n_saved = p->n_body;
    }
    partial_release(&read);
    return rc;
}

/* Whether the server did not continue the part that we have. */
bool partial_refused(const struct http_transfer *t)
{
    return t->ranged &&
           (t->outcome == HTTP_FAILED_RANGE || (t->outcome == HTTP_RESPONDED && t->headers.status == 416));
}

/* Whether the response tells nothing about the picture. The part is then kept. */
static bool says_nothing(const struct http_transfer *t)
{
    int status = t->headers.status;
    return status == 0 || (status >= 300 && status < 400) || status == 408 || status == 425 ||
           status == 429 || status == 407 || status >= 500;
}

void partial_after(struct fetch *f, uint32_t index, struct http_transfer *t)
{
    struct entry *e = fetch_entry(f, index);
    bool broke_off = t->outcome == HTTP_FAILED_TRUNCATED || t->outcome == HTTP_FAILED_RESET ||
                     t->outcome == HTTP_FAILED_STALLED || t->outcome == HTTP_FAILED_TIMEOUT;
    struct partial *p = broke_off ? part_of(t) : NULL;
    if (p)
        save(f, index, p, true);
    else if (t->outcome == HTTP_RESPONDED &&
             (t->headers.status == 200 || t->headers.status == 203 || t->headers.status == 206))
        forget_in_memory(&f->partials, e->hop); /* the writer removes the file when the picture is safe */
    else if (!says_nothing(t) || partial_refused(t))
        partial_drop(f, index);
}

/* --- bodies in flight --- */

struct checkpoint {
    struct fetch *f;
    bool all;
};

static void checkpoint_one(void *context, struct http_transfer *t)
{
    const struct checkpoint *c = context;
    uint32_t index;
    size_t least = c->all ? PARTIAL_MIN_BYTES : CHECKPOINT_BYTES;
    if (t->n_body < least || (c->all ? t->n_body <= t->n_saved : t->n_body / 2 < t->n_saved) ||
        !fetch_token_entry(t, &index))
        return;
    struct partial *p = part_of(t);
    if (!p) return;
    t->n_saved = t->n_body;
    save(c->f, index, p, false);
}

void partials_checkpoint(struct fetch *f, bool all)
{
    struct checkpoint c = {f, all};
    if (partials_on_disk(f->opt)) http_engine_each(f->engine, checkpoint_one, &c);
}

/* takedown_request.c: see takedown_request.h. There are only few lines, so a search compares them one by
 * one. */
#include "takedown_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/stage.h"
#include "manifest/manifest.h"

int takedown_request_add(struct takedown_request *r, const struct takedown_line *line, size_t n_text,
                         struct error *err)
{
    if (mem_grow(&r->lines, &r->capacity, r->n + 1, sizeof *r->lines, err)) return -1;
    struct takedown_line *l = &r->lines[r->n];
    *l = *line;
    if (!(l->text = mem_alloc(n_text + 1, err))) return -1;
    memcpy(l->text, line->text, n_text);
    l->text[n_text] = 0;
    r->n++;
    return 0;
}

void takedown_request_match_url(struct takedown_request *r, const struct xxh128 *key)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->lines[i].is_url && memcmp(&r->lines[i].key, key, sizeof *key) == 0) r->lines[i].matched = true;
}

void takedown_request_match_digest(struct takedown_request *r, const char *digest_hex)
{
    for (size_t i = 0; i < r->n; i++)
        if (!r->lines[i].is_url && strcmp(r->lines[i].digest, digest_hex) == 0) r->lines[i].matched = true;
}

static const char *outcome_of(const struct takedown_line *l)
{
    /* The picture of a known hash was removed in an earlier run. A known address is still in the journal. */
    bool done = l->matched || (l->known && !l->is_url);
    return !done ? "no-match" : l->known ? "taken-down-before" : "taken-down";
}

static int write_table(const struct takedown_request *r, const char *output, struct error *err)
{
    static const char *const columns[] = {"list", "line", "outcome", NULL};
    struct manifest_writer out = MANIFEST_WRITER_EMPTY;
    int rc = manifest_writer_open(&out, output, NULL, columns, err);
    for (size_t i = 0; rc == 0 && i < r->n; i++) {
        char line[24];
        snprintf(line, sizeof line, "%zu", r->lines[i].line);
        const char *const fields[] = {r->lines[i].path, line, outcome_of(&r->lines[i])};
        rc = manifest_writer_row(&out, NULL, fields, err);
    }
    if (rc == 0) rc = manifest_writer_commit(&out, err);
    manifest_writer_discard(&out);
    return rc;
}

int takedown_request_report(const struct takedown_request *r, bool table, const char *output,
                            struct error *err)
{
    size_t n_missed = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct takedown_line *l = &r->lines[i];
        if (strcmp(outcome_of(l), "no-match") != 0) continue;
        n_missed++;
        stage_warn("--takedown '%s' line %zu matches nothing that was ever asked for or stored: '%.200s'",
                   l->path, l->line, l->text);
    }
    if (table && write_table(r, output, err)) return -1;
    return n_missed
               ? error_set(err, EX_VERDICT_NO,
                           "%zu of %zu takedown lines match nothing: check how they are written (a later "
                           "fetch refuses what they name)",
                           n_missed, r->n)
               : 0;
}

void takedown_request_release(struct takedown_request *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->lines[i].text);
    free(r->lines);
    *r = (struct takedown_request){0};
}

/* inputs.c: see inputs.h. */
#include "inputs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "http/http_url.h"
#include "http/url_list.h"

#define LIST_MAX_BYTES (8ull << 30)

static int add_column(struct inputs *in, const char *name, int *index, struct error *err)
{
    *index = manifest_column(&in->schema, name);
    if (*index >= 0) return 0;
    char **names = mem_realloc(in->schema.names, (in->schema.n + 1) * sizeof *names, err);
    if (!names) return -1;
    in->schema.names = names;
    if (!(names[in->schema.n] = mem_strdup(name, err))) return -1;
    *index = (int)in->schema.n++;
    return 0;
}

static int add_url_and_label(struct inputs *in, struct error *err)
{
    return add_column(in, "url", &in->url_column, err) || add_column(in, "label", &in->label_column, err) ? -1
                                                                                                          : 0;
}

static struct row *new_row(struct inputs *in, struct error *err)
{
    if (in->n_rows == UINT32_MAX - 1) {
        error_set(err, EX_DATAERR, "more than %u rows", UINT32_MAX - 1);
        return NULL;
    }
    if (mem_grow(&in->rows, &in->capacity, in->n_rows + 1, sizeof *in->rows, err)) return NULL;
    struct row *r = &in->rows[in->n_rows++];
    *r = (struct row){.entry = NO_INDEX, .url = "", .label = ""};
    return r;
}

/* Returns the address for the column url. Bytes that are not UTF-8 become %XX, because a manifest is
 * UTF-8. */
static const char *show_url(struct inputs *in, const char *url, size_t n, struct error *err)
{
    if (text_is_utf8(url, n)) return arena_strndup(&in->entries->arena, url, n, err);
    struct text t = TEXT_EMPTY;
    const char *shown = NULL;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)url[i];
        if (c < 0x80 ? text_add(&t, &url[i], 1, err) : text_printf(&t, err, "%%%02X", c)) goto out;
    }
    shown = arena_strdup(&in->entries->arena, t.data ? t.data : "", err);
out:
    text_release(&t);
    return shown;
}

static int add_list_row(struct inputs *in, const char *url, size_t n, const char *label, struct error *err)
{
    struct row *r = new_row(in, err);
    if (!r || entries_add(in->entries, in->hosts, url, n, &r->entry, err)) return -1;
    const char *canonical = in->entries->items[r->entry].url;
    if (strlen(canonical) == n && memcmp(canonical, url, n) == 0)
        r->url = canonical;
    else if (!(r->url = show_url(in, url, n, err)))
        return -1;
    r->label = label;
    return 0;
}

static int read_list(struct inputs *in, const char *bytes, size_t n_bytes, const char *label,
                     struct error *err)
{
    struct url_list_cursor c;
    const char *url;
    size_t n;
    if (add_url_and_label(in, err)) return -1;
    const char *kept_label = arena_strdup(&in->entries->arena, label, err);
    if (!kept_label) return -1;
    url_list_start(&c, bytes, n_bytes);
    while (url_list_next(&c, &url, &n))
        if (add_list_row(in, url, n, kept_label, err)) return -1;
    return 0;
}

static int read_manifest(struct inputs *in, const char *bytes, size_t n_bytes, const char *name,
                         struct error *err)
{
    static const char *const required[] = {"url", NULL};
    struct manifest_reader reader = MANIFEST_READER_EMPTY;
    int *column = NULL, rc = -1, got, url, label;
    const char *last_label = "";
    if (manifest_reader_open_memory(&reader, bytes, n_bytes, name, required, err)) goto out;
    if (!(column = mem_zalloc(reader.schema.n, sizeof *column, err))) goto out;
    for (size_t i = 0; i < reader.schema.n; i++)
        if (add_column(in, reader.schema.names[i], &column[i], err)) goto out;
    if (add_url_and_label(in, err)) goto out;
    url = manifest_column(&reader.schema, "url");
    label = manifest_column(&reader.schema, "label");
    bool has_more = reader.schema.n > (size_t)(label >= 0) + 1;
    while ((got = manifest_reader_next(&reader, err)) > 0) {
        struct row *r = new_row(in, err);
        const char *text = manifest_field(&reader, url), *own = manifest_field(&reader, label);
        if (!r || entries_add(in->entries, in->hosts, text, strlen(text), &r->entry, err)) goto out;
        const char *canonical = in->entries->items[r->entry].url;
        r->url = strcmp(canonical, text) == 0 ? canonical : arena_strdup(&in->entries->arena, text, err);
        if (!*own && in->label) own = in->label;
        if (strcmp(own, last_label) != 0) last_label = arena_strdup(&in->entries->arena, own, err);
        r->label = last_label;
        if (!r->url || !r->label) goto out;
        if (!has_more) continue;
        /* The index of each column of this file in the common schema, to which later files may add
         * columns. */
        const char **more = arena_alloc(&in->entries->arena, (in->schema.n + 1) * sizeof *more, err);
        if (!more) goto out;
        memset(more, 0, (in->schema.n + 1) * sizeof *more);
        more[0] = (const char *)(uintptr_t)in->schema.n;
        for (size_t i = 0; i < reader.schema.n; i++) {
            if (column[i] == in->url_column || column[i] == in->label_column) continue;
            const char *value = reader.fields[i];
            if (*value && !(more[1 + column[i]] = arena_strdup(&in->entries->arena, value, err))) goto out;
        }
        r->more = more;
    }
    rc = got;
out:
    free(column);
    manifest_reader_close(&reader);
    return rc;
}

static int read_one(struct inputs *in, const char *path, const char *label, bool must_be_list,
                    struct error *err)
{
    char *bytes = NULL;
    size_t n_bytes;
    if (io_read_text(path, LIST_MAX_BYTES, &bytes, &n_bytes, err)) return -1;
    int rc = !must_be_list && url_list_is_manifest(bytes, n_bytes)
                 ? read_manifest(in, bytes, n_bytes, strcmp(path, "-") == 0 ? "standard input" : path, err)
                 : read_list(in, bytes, n_bytes, label, err);
    free(bytes);
    return rc;
}

/* --- folders --- */

struct file_names {
    char **items;
    size_t n, capacity;
};

static void file_names_release(struct file_names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct file_names){0};
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* Reads the names in a folder, without those that begin with a dot, and sorts them by bytes, because the
 * order of rows must not depend on the file system. */
static int read_names(struct file_names *l, const char *folder, struct error *err)
{
    DIR *d = opendir(folder);
    if (!d) return error_errno(err, EX_NOINPUT, "cannot read the folder '%s'", folder);
    int rc = 0;
    for (struct dirent *e; !rc && (e = io_next_entry(d, folder, &rc, err));) {
        if (e->d_name[0] == '.') continue;
        if (mem_grow(&l->items, &l->capacity, l->n + 1, sizeof *l->items, err) ||
            !(l->items[l->n] = mem_strdup(e->d_name, err)))
            rc = -1;
        else
            l->n++;
    }
    closedir(d);
    if (!rc && l->n) qsort(l->items, l->n, sizeof *l->items, by_name);
    return rc;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Reads folder/NAME.txt, one list for each class. *n_found grows by the lists that were read. */
static int read_lists(struct inputs *in, const char *folder, size_t *n_found, struct error *err)
{
    struct file_names l = {0};
    struct text path = TEXT_EMPTY, label = TEXT_EMPTY;
    int rc = read_names(&l, folder, err);
    for (size_t i = 0; rc == 0 && i < l.n; i++) {
        if (!text_ends(l.items[i], ".txt")) continue;
        text_clear(&path), text_clear(&label);
        if (text_printf(&path, err, "%s/%s", folder, l.items[i]) ||
            text_add(&label, l.items[i], strlen(l.items[i]) - 4, err)) {
            rc = -1;
            break;
        }
        if (is_folder(path.data)) continue;
        const char *class = in->label                          ? in->label
                            : text_starts(label.data, "urls_") ? label.data + 5
                                                               : label.data;
        rc = read_one(in, path.data, class, true, err);
        ++*n_found;
    }
    file_names_release(&l);
    text_release(&path);
    text_release(&label);
    return rc;
}

/* Reads folder/CLASS/urls_CLASS.txt, where the scripts of nsfw_data_scraper write their lists. Other .txt
 * files there belong to the class, too. */
static int read_raw_data(struct inputs *in, const char *folder, size_t *n_found, struct error *err)
{
    struct file_names classes = {0}, lists = {0};
    struct text inner = TEXT_EMPTY;
    int rc = read_names(&classes, folder, err);
    for (size_t i = 0; rc == 0 && i < classes.n; i++) {
        text_clear(&inner);
        rc = text_printf(&inner, err, "%s/%s", folder, classes.items[i]);
        if (rc || !is_folder(inner.data)) continue;
        file_names_release(&lists);
        rc = read_names(&lists, inner.data, err);
        size_t n_inner = inner.n_bytes;
        for (size_t k = 0; rc == 0 && k < lists.n; k++) {
            if (!text_starts(lists.items[k], "urls_") || !text_ends(lists.items[k], ".txt")) continue;
            inner.n_bytes = n_inner;
            rc = text_printf(&inner, err, "/%s", lists.items[k]) ||
                         read_one(in, inner.data, in->label ? in->label : classes.items[i], true, err)
                     ? -1
                     : 0;
            ++*n_found;
        }
    }
    file_names_release(&classes);
    file_names_release(&lists);
    text_release(&inner);
    return rc;
}

static int read_folder(struct inputs *in, const char *folder, struct error *err)
{
    struct text inner = TEXT_EMPTY;
    size_t n_found = 0;
    int rc = -1;
    if (text_printf(&inner, err, "%s/raw_data", folder)) goto out;
    if (is_folder(inner.data)) {
        rc = read_raw_data(in, inner.data, &n_found, err);
    } else {
        text_clear(&inner);
        if (text_printf(&inner, err, "%s/source_urls", folder)) goto out;
        rc = is_folder(inner.data) ? read_lists(in, inner.data, &n_found, err)
                                   : read_lists(in, folder, &n_found, err);
        if (rc == 0 && n_found == 0) /* the raw_data folder itself */
            rc = read_raw_data(in, folder, &n_found, err);
    }
    if (rc == 0 && n_found == 0)
        rc = error_set(err, EX_NOINPUT,
                       "'%s' contains no lists: expected CLASS.txt, raw_data/CLASS/urls_CLASS.txt or "
                       "source_urls/CLASS.txt",
                       folder);
out:
    text_release(&inner);
    return rc;
}

int inputs_read(struct inputs *in, const struct operands *operands, struct error *err)
{
    const char *label = in->label ? in->label : "";
    in->url_column = in->label_column = -1;
    if (operands->n == 0 && read_one(in, "-", label, false, err)) return -1;
    for (int i = 0; i < operands->n; i++) {
        int rc = is_folder(operands->items[i]) ? read_folder(in, operands->items[i], err)
                                               : read_one(in, operands->items[i], label, false, err);
        if (rc) return -1;
    }
    return in->schema.n ? 0 : add_url_and_label(in, err);
}

void inputs_release(struct inputs *in)
{
    for (size_t i = 0; i < in->schema.n; i++)
        free(in->schema.names[i]);
    free(in->schema.names);
    free(in->rows);
}

/* croissant_shards.c: writes the part of the description about the files of `pack`. For tar files, it
 * describes each file, and the pictures and the classes in them. The validator cannot join members of one
 * key, so pictures and classes are two record sets with the same keys. For a set in winnow's own format, it
 * describes each file with its hash, and the rows. The pixels cannot be a record set: a source in Croissant
 * is a whole file, a line, a column or a member of an archive, never a range of bytes. The record set images
 * has the same pictures as files. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "page/page.h"
#include "sources.h"

#define FILE_MAX_BYTES (1ull << 34) /* a file is in memory while its hash is computed */
#define CLASSES_MAX_BYTES (1u << 20)

static int is_tar(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 4 && d->d_name[0] != '.' && strcmp(d->d_name + n - 4, ".tar") == 0;
}

static bool is_named(const char *name, const char *begins, const char *ends)
{
    size_t n = strlen(name), n_ends = strlen(ends);
    return strncmp(name, begins, strlen(begins)) == 0 && n > n_ends && strcmp(name + n - n_ends, ends) == 0;
}

/* Whether a file belongs to a set in winnow's own format, in either of its two forms. */
static int is_of_set(const struct dirent *d)
{
    return strcmp(d->d_name, "index.tsv") == 0 || is_named(d->d_name, "shard-", ".bin") ||
           is_named(d->d_name, "shard-", ".tsv");
}

/* Sets *has to whether folder contains the file `name`. */
static int has_file(const char *folder, const char *name, bool *has, struct error *err)
{
    struct text path = TEXT_EMPTY;
    int rc = text_printf(&path, err, "%s/%s", folder, name);
    *has = rc == 0 && access(path.data, F_OK) == 0;
    text_release(&path);
    return rc;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Returns the path of folder relative to the folder of the manifest, as in the description, or NULL when it
 * is outside. */
static const char *below(const char *folder, const char *manifest)
{
    const char *slash = strrchr(manifest, '/');
    size_t n = slash ? (size_t)(slash + 1 - manifest) : 0;
    if (strncmp(folder, manifest, n) != 0 || !folder[n] || folder[n] == '/' || strstr(folder + n, ".."))
        return NULL;
    return folder + n;
}

static int file_object(struct text *t, const char *folder, const char *shown, const char *name,
                       const char *format, struct error *err)
{
    char *bytes = NULL, hex[2 * SHA256_BYTES + 1];
    uint8_t digest[SHA256_BYTES];
    struct text path = TEXT_EMPTY, url = TEXT_EMPTY;
    size_t n;
    int rc = -1;
    if (text_printf(&path, err, "%s/%s", folder, name) ||
        io_read_file(path.data, FILE_MAX_BYTES, &bytes, &n, err) || page_url(&url, shown, err) ||
        text_puts(&url, "/", err) || page_url(&url, name, err))
        goto out;
    sha256_of(digest, bytes, n);
    hex_encode(hex, digest, sizeof digest);
    if (text_puts(t, ",\n  {\"@type\": \"cr:FileObject\", \"@id\": ", err) || page_json(t, name, err) ||
        text_puts(t, ", \"name\": ", err) || page_json(t, name, err) ||
        text_puts(t, ", \"contentUrl\": ", err) || page_json(t, url.data, err) ||
        text_printf(t, err, ", \"contentSize\": \"%zu B\", \"encodingFormat\": \"%s\", \"sha256\": \"%s\"}",
                    n, format, hex))
        goto out;
    rc = 0;
out:
    free(bytes);
    text_release(&path);
    text_release(&url);
    return rc;
}

/* Describes the files of winnow's own format, and its tables as one file set. In the second form the tables
 * of the single files may be outdated; only shard-rows.tsv is valid. */
static int set_files(struct text *t, const char *folder, const char *shown, struct error *err)
{
    struct dirent **names = NULL;
    struct text pattern = TEXT_EMPTY;
    bool apart;
    int rc = -1, n = scandir(folder, &names, is_of_set, by_bytes);
    if (n < 0) return error_errno(err, EX_NOINPUT, "--shards: cannot read '%s'", folder);
    if (has_file(folder, "shard-rows.tsv", &apart, err)) goto out;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        bool table = is_named(name, "shard-", ".tsv"), old = table && apart && strcmp(name, "shard-rows.tsv");
        if (!old && file_object(t, folder, shown, name,
                                table || strcmp(name, "index.tsv") == 0 ? "text/tab-separated-values"
                                                                        : "application/octet-stream",
                                err))
            goto out;
    }
    if (text_printf(&pattern, err, "%s/%s", shown, apart ? "shard-rows.tsv" : "shard-*.tsv") ||
        text_puts(t,
                  ",\n  {\"@type\": \"cr:FileSet\", \"@id\": \"shard-tables\", \"name\": \"shard-tables\", "
                  "\"encodingFormat\": \"text/tab-separated-values\", \"includes\": ",
                  err) ||
        page_json(t, pattern.data, err) || text_puts(t, "}", err))
        goto out;
    rc = 0;
out:
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    text_release(&pattern);
    return rc;
}

static int set_records(struct text *t, struct error *err)
{
    static const char *const columns[] = {"path", "label", "split", "xxh128"};
    if (text_puts(t,
                  ",\n  {\"@type\": \"cr:RecordSet\", \"@id\": \"shard-rows\", \"name\": \"shard-rows\", "
                  "\"field\": [",
                  err))
        return -1;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        if (text_printf(t, err,
                        "%s\n    {\"@type\": \"cr:Field\", \"@id\": \"shard-rows/%s\", \"name\": \"%s\", "
                        "\"dataType\": \"sc:Text\", \"source\": {\"fileSet\": {\"@id\": \"shard-tables\"}, "
                        "\"extract\": {\"column\": \"%s\"}}}",
                        i ? "," : "", columns[i], columns[i], columns[i]))
            return -1;
    return text_puts(t, "]}", err);
}

int croissant_shards_files(struct text *t, const char *folder, const char *manifest, struct error *err)
{
    static const char *const kinds[][3] = {{"shard-pictures", "image/jpeg", "*.jpg"},
                                           {"shard-classes", "text/plain", "*.cls"}};
    const char *shown = below(folder, manifest);
    struct dirent **names = NULL;
    bool own;
    int n = 0, rc = -1;
    if (!shown)
        return error_set(err, EX_USAGE, "--shards: '%s' is not below the folder of '%s'", folder, manifest);
    if (has_file(folder, "index.tsv", &own, err)) return -1;
    if (own) return set_files(t, folder, shown, err);
    if ((n = scandir(folder, &names, is_tar, by_bytes)) < 0)
        return error_errno(err, EX_NOINPUT, "--shards: cannot read '%s'", folder);
    if (n == 0) {
        error_set(err, EX_NOINPUT, "--shards: '%s' has neither index.tsv nor a *.tar, as pack writes them",
                  folder);
        goto out;
    }
    for (int i = 0; i < n; i++)
        if (file_object(t, folder, shown, names[i]->d_name, "application/x-tar", err)) goto out;
    for (size_t k = 0; k < 2; k++) {
        if (text_printf(t, err,
                        ",\n  {\"@type\": \"cr:FileSet\", \"@id\": \"%s\", \"name\": \"%s\", "
                        "\"encodingFormat\": \"%s\", \"includes\": \"%s\", \"containedIn\": [",
                        kinds[k][0], kinds[k][0], kinds[k][1], kinds[k][2]))
            goto out;
        for (int i = 0; i < n; i++)
            if (text_puts(t, i ? ", {\"@id\": " : "{\"@id\": ", err) || page_json(t, names[i]->d_name, err) ||
                text_puts(t, "}", err))
                goto out;
        if (text_puts(t, "]}", err)) goto out;
    }
    rc = 0;
out:
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return rc;
}

/* Writes the names of the classes. The number of a class is its position in classes.txt. */
static int class_names(struct text *t, const char *folder, struct error *err)
{
    struct text path = TEXT_EMPTY;
    char *names = NULL;
    size_t n;
    int rc = -1;
    if (text_printf(&path, err, "%s/classes.txt", folder) ||
        io_read_text(path.data, CLASSES_MAX_BYTES, &names, &n, err) ||
        text_puts(t,
                  ",\n  {\"@type\": \"cr:RecordSet\", \"@id\": \"shard-names\", \"name\": \"shard-names\", "
                  "\"key\": {\"@id\": \"shard-names/index\"}, \"field\": [{\"@type\": \"cr:Field\", \"@id\": "
                  "\"shard-names/index\", \"name\": \"index\", \"dataType\": \"sc:Integer\"}, {\"@type\": "
                  "\"cr:Field\", \"@id\": \"shard-names/name\", \"name\": \"name\", \"dataType\": "
                  "\"sc:Text\"}], \"data\": [",
                  err))
        goto out;
    int i = 0;
    for (char *line = names, *end; *line; line = end, i++) {
        end = line + strcspn(line, "\n");
        if (*end) *end++ = 0;
        if (text_printf(t, err, "%s{\"shard-names/index\": %d, \"shard-names/name\": ", i ? ", " : "", i) ||
            page_json(t, line, err) || text_puts(t, "}", err))
            goto out;
    }
    rc = text_puts(t, "]}", err);
out:
    free(names);
    text_release(&path);
    return rc;
}

int croissant_shards_records(struct text *t, const char *folder, struct error *err)
{
    static const char *const sets[][5] = {{"shard-images", "shard-pictures", "jpg", "image",
                                           "sc:ImageObject"},
                                          {"shard-labels", "shard-classes", "cls", "index", "sc:Integer"}};
    bool own;
    if (has_file(folder, "index.tsv", &own, err)) return -1;
    if (own) return set_records(t, err);
    if (class_names(t, folder, err)) return -1;
    for (size_t k = 0; k < 2; k++) {
        const char *const *s = sets[k];
        if (text_printf(
                t, err,
                ",\n  {\"@type\": \"cr:RecordSet\", \"@id\": \"%s\", \"name\": \"%s\", \"field\": [\n"
                "    {\"@type\": \"cr:Field\", \"@id\": \"%s/key\", \"name\": \"key\", \"dataType\": "
                "\"sc:Text\", \"source\": {\"fileSet\": {\"@id\": \"%s\"}, \"extract\": "
                "{\"fileProperty\": \"filename\"}, \"transform\": {\"regex\": \"^(.*)\\\\.%s$\"}}},\n",
                s[0], s[0], s[0], s[1], s[2]) ||
            text_printf(t, err,
                        "    {\"@type\": \"cr:Field\", \"@id\": \"%s/%s\", \"name\": \"%s\", \"dataType\": "
                        "\"%s\", \"source\": {\"fileSet\": {\"@id\": \"%s\"}, \"extract\": "
                        "{\"fileProperty\": \"content\"}}}]}",
                        s[0], s[3], s[3], s[4], s[1]))
            return -1;
    }
    return 0;
}

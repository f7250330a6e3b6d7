/* vector_folder.c: see vector_folder.h. */
#include "vector/vector_folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/half.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/text.h"
#include "hash/content_hash.h"
#include "manifest/manifest.h"
#include "vector/vector_reduce.h"

#define MOST_INFO_BYTES 65536
#define MOST_HEAD_BYTES 65536         /* a version 1.0 head has a length of 16 bits */
#define MOST_PIECE (1u << 20)         /* bytes read at once */
#define MOST_ROWS (UINT32_MAX - 2ull) /* row numbers are 32 bits */

/* --- writing ----------------------------------------------------------------------------------------------
 */

int npy_write_head(FILE *out, const char *descr, size_t n_rows, size_t n_values, struct error *err)
{
    char head[192];
    int n =
        snprintf(head + 10, sizeof head - 10,
                 "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu), }", descr, n_rows, n_values);
    size_t padded = ((size_t)n + 10 + 1 + 63) / 64 * 64;
    memset(head + 10 + n, ' ', padded - 10 - (size_t)n);
    head[padded - 1] = '\n';
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = (char)((padded - 10) & 0xff);
    head[9] = (char)((padded - 10) >> 8);
    return fwrite(head, 1, padded, out) == padded ? 0 : error_errno(err, EX_IOERR, "cannot write features");
}

int vector_info_write(const struct vector_info *info, const char *folder, struct error *err)
{
    struct text path = TEXT_EMPTY, lines = TEXT_EMPTY;
    int rc = text_printf(&path, err, "%s/info.tsv", folder) ||
                     text_printf(&lines, err,
                                 "key\tvalue\nformat\t1\nbase\t%s\npictures\t%s\nfit\t%s\nrows\t%zu\n"
                                 "values\t%zu\n",
                                 info->base, info->pictures, info->fit, info->n_rows, info->n_values) ||
                     atomic_file_write(path.data, lines.data, lines.n_bytes, err)
                 ? -1
                 : 0;
    text_release(&path);
    text_release(&lines);
    return rc;
}

/* --- reading ----------------------------------------------------------------------------------------------
 */

/* Returns the text after `key` in a header, which is a Python dictionary as NumPy writes it. */
static const char *after_key(const char *head, const char *key)
{
    const char *at = strstr(head, key);
    if (!at) return NULL;
    at += strlen(key);
    while (*at == ' ' || *at == ':')
        at++;
    return at;
}

static bool take_size(const char **at, size_t *out)
{
    uint64_t value;
    while (**at == ' ')
        ++*at;
    size_t n = strspn(*at, "0123456789");
    if (!parse_digits(*at, n, &value) || value > SIZE_MAX / 2) return false;
    *out = (size_t)value;
    *at += n;
    return true;
}

int npy_read_head(const char *bytes, size_t n_bytes, const char *name, size_t *n_head, bool *half,
                  size_t *n_rows, size_t *n_values, struct error *err)
{
    char head[1024];
    if (n_bytes < 10 || memcmp(bytes, "\x93NUMPY\x01", 7)) goto bad;
    size_t n = (size_t)(uint8_t)bytes[8] | (size_t)(uint8_t)bytes[9] << 8;
    if (n > n_bytes - 10 || n >= sizeof head) goto bad;
    memcpy(head, bytes + 10, n);
    head[n] = 0;
    const char *descr = after_key(head, "'descr'"), *order = after_key(head, "'fortran_order'"),
               *shape = after_key(head, "'shape'");
    if (!descr || !order || !shape || !text_starts(order, "False") || *shape++ != '(') goto bad;
    *half = text_starts(descr, "'<f2'");
    if ((!*half && !text_starts(descr, "'<f4'")) || !take_size(&shape, n_rows) || *shape++ != ',' ||
        !take_size(&shape, n_values) || (*shape != ')' && *shape != ','))
        goto bad;
    *n_head = 10 + n;
    return 0;
bad:
    return error_set(err, EX_DATAERR,
                     "'%s' is not a table of float16 or float32 values in NumPy's format 1.0", name);
}

static bool take_value(const char *line, size_t n, const char *key, char *out, size_t most)
{
    size_t length = strlen(key);
    if (n < length + 1 || strncmp(line, key, length) || line[length] != '\t' || n - length - 1 >= most)
        return false;
    memcpy(out, line + length + 1, n - length - 1);
    out[n - length - 1] = 0;
    return true;
}

int vector_info_read_memory(struct vector_info *info, const char *text, const char *name, struct error *err)
{
    char format[8] = "", rows[24] = "", values[24] = "";
    uint64_t n_rows = 0, n_values = 0;
    struct xxh128 hash;
    *info = (struct vector_info){0};
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        (void)(take_value(line, n, "format", format, sizeof format) ||
               take_value(line, n, "base", info->base, sizeof info->base) ||
               take_value(line, n, "pictures", info->pictures, sizeof info->pictures) ||
               take_value(line, n, "fit", info->fit, sizeof info->fit) ||
               take_value(line, n, "rows", rows, sizeof rows) ||
               take_value(line, n, "values", values, sizeof values));
        line += n + (line[n] == '\n');
    }
    if (strcmp(format, "1") || xxh128_from_hex(&hash, info->base) ||
        (*info->fit && xxh128_from_hex(&hash, info->fit)) || !parse_digits(rows, strlen(rows), &n_rows) ||
        !parse_digits(values, strlen(values), &n_values) || n_rows > MOST_ROWS ||
        n_values > VECTOR_MAX_VALUES)
        return error_set(err, EX_DATAERR, "'%s' is not what embed writes", name);
    info->n_rows = (size_t)n_rows;
    info->n_values = (size_t)n_values;
    return 0;
}

static int read_info(struct vector_info *info, const char *folder, struct error *err)
{
    struct text path = TEXT_EMPTY;
    char *bytes = NULL;
    size_t n;
    int rc = text_printf(&path, err, "%s/info.tsv", folder);
    if (!rc && !io_exists(path.data))
        rc = error_set(err, EX_NOINPUT, "'%s' has no info.tsv: it is not a folder that embed finished",
                       folder);
    if (!rc) rc = io_read_text(path.data, MOST_INFO_BYTES, &bytes, &n, err);
    if (!rc) rc = vector_info_read_memory(info, bytes, path.data, err);
    free(bytes);
    text_release(&path);
    return rc;
}

/* Scales v to length 1, so that the product of two vectors is their cosine. A zero vector is not changed.
 * Returns 0, or -1 when a value is not finite. */
static int normalise(float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    if (!isfinite(sum)) return -1;
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < n; i++)
        v[i] = (float)((double)v[i] * scale);
    return 0;
}

static int take_rows(struct vector_set *s, int fd, const char *path, size_t n_head, bool half,
                     struct error *err)
{
    size_t n_values = s->info.n_values, n_row = n_values * (half ? 2 : 4),
           step = MOST_PIECE / (n_row + 1) + 1;
    uint8_t *piece = mem_alloc(step * n_row + 1, err);
    int rc = piece ? 0 : -1;
    for (size_t at = 0; !rc && at < s->info.n_rows; at += step) {
        size_t n = s->info.n_rows - at < step ? s->info.n_rows - at : step;
        float *v = s->values + at * n_values;
        if ((rc = io_pread_full(fd, piece, n * n_row, n_head + (uint64_t)at * n_row, path, err))) break;
        if (half)
            half_to_float(v, (const uint16_t *)(const void *)piece, n * n_values);
        else
            memcpy(v, piece, n * n_row);
        for (size_t i = 0; !rc && i < n; i++)
            if (normalise(v + i * n_values, n_values))
                rc = error_set(err, EX_DATAERR, "'%s': row %zu has a value that is not finite", path,
                               at + i + 1);
    }
    free(piece);
    return rc;
}

static int read_values(struct vector_set *s, const char *path, struct error *err)
{
    char head[MOST_HEAD_BYTES];
    struct stat st;
    size_t n_head, n_rows, n_values;
    bool half;
    int rc = -1, fd = io_open_read(path, err);
    if (fd < 0) return -1;
    if (fstat(fd, &st)) {
        error_errno(err, EX_IOERR, "cannot examine '%s'", path);
        goto out;
    }
    size_t got = (uint64_t)st.st_size < sizeof head ? (size_t)st.st_size : sizeof head;
    if (io_pread_full(fd, head, got, 0, path, err) ||
        npy_read_head(head, got, path, &n_head, &half, &n_rows, &n_values, err))
        goto out;
    if (n_rows != s->info.n_rows || n_values != s->info.n_values ||
        (uint64_t)st.st_size != n_head + (uint64_t)n_rows * n_values * (half ? 2 : 4)) {
        error_set(err, EX_DATAERR, "'%s' does not have the %zu rows of %zu values that info.tsv announces",
                  path, s->info.n_rows, s->info.n_values);
        goto out;
    }
    if (!(s->values = mem_zalloc(n_rows * n_values + 1, sizeof *s->values, err))) goto out;
    rc = take_rows(s, fd, path, n_head, half, err);
out:
    close(fd);
    return rc;
}

static int read_ids(struct vector_set *s, const char *path, struct error *err)
{
    static const char *const required[] = {"xxh128", NULL};
    struct manifest_reader r = MANIFEST_READER_EMPTY;
    size_t n = 0;
    int got = -1;
    if (!(s->ids = mem_zalloc(s->info.n_rows + 1, sizeof *s->ids, err)) ||
        manifest_reader_open(&r, path, required, err))
        goto out;
    int column = manifest_column(&r.schema, "xxh128");
    while ((got = manifest_reader_next(&r, err)) > 0) {
        struct xxh128 id;
        if (n == s->info.n_rows || xxh128_from_hex(&id, manifest_field(&r, column))) break;
        memcpy(s->ids[n++], id.bytes, sizeof id.bytes);
    }
    if (got == 1 || (got == 0 && n != s->info.n_rows))
        got = error_set(err, EX_DATAERR, "'%s' does not hold %zu rows with their content hashes", path,
                        s->info.n_rows);
out:
    manifest_reader_close(&r);
    return got;
}

int vector_set_read(struct vector_set *s, const char *folder, struct error *err)
{
    struct text values = TEXT_EMPTY, rows = TEXT_EMPTY;
    size_t bytes;
    *s = VECTOR_SET_EMPTY;
    int rc = read_info(&s->info, folder, err);
    if (!rc && !size_mul(s->info.n_rows, s->info.n_values * sizeof(float), &bytes))
        rc = error_set(err, EX_DATAERR, "'%s': more values than a computer can hold", folder);
    if (!rc)
        rc = text_printf(&values, err, "%s/features.npy", folder) ||
                     text_printf(&rows, err, "%s/rows.tsv", folder) || read_values(s, values.data, err) ||
                     read_ids(s, rows.data, err)
                 ? -1
                 : 0;
    text_release(&values);
    text_release(&rows);
    if (rc) vector_set_release(s);
    return rc;
}

void vector_set_release(struct vector_set *s)
{
    free(s->ids);
    free(s->values);
    *s = VECTOR_SET_EMPTY;
}

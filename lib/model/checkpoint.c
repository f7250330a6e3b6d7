/* checkpoint.c: named, checksummed blocks in one atomic file; see checkpoint.h. */
#include "model/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "hash/content_hash.h"
#include "io/io.h"

#define ALIGNMENT 64u
/* It is much larger than the weights, momentum and average of any network that can be planned. */
#define MAX_FILE_BYTES (UINT64_C(64) << 30)

static const char magic[8] = "WNCKPT01";

struct file_header { /* little-endian, as every machine this runs on */
    char magic[8];
    uint32_t n_sections, reserved;
    uint64_t file_bytes;
    struct xxh128 table_hash;
};

struct file_section {
    char name[CHECKPOINT_NAME_BYTES];
    uint64_t offset, n_bytes;
    struct xxh128 hash;
};

static uint64_t aligned(uint64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

int checkpoint_write(const char *path, const struct checkpoint_section *sections, size_t n_sections,
                     struct error *err)
{
    static const char zeros[ALIGNMENT];
    struct file_section table[CHECKPOINT_MAX_SECTIONS];
    struct file_header header = {.n_sections = (uint32_t)n_sections};
    struct atomic_file f = ATOMIC_FILE_EMPTY;
    void *buffer = NULL;
    size_t buffer_bytes = 0;
    int rc = -1;
    if (n_sections > CHECKPOINT_MAX_SECTIONS)
        return error_set(err, EX_SOFTWARE, "checkpoint of %zu sections", n_sections);
    memset(table, 0, sizeof table);
    uint64_t at = aligned(sizeof header + n_sections * sizeof *table);
    for (size_t i = 0; i < n_sections; i++) {
        if (strlen(sections[i].name) >= CHECKPOINT_NAME_BYTES)
            return error_set(err, EX_SOFTWARE, "checkpoint section name '%s'", sections[i].name);
        memcpy(table[i].name, sections[i].name, strlen(sections[i].name));
        table[i].offset = at;
        table[i].n_bytes = sections[i].n_bytes;
        at = aligned(at + sections[i].n_bytes);
        if (!sections[i].bytes && sections[i].n_bytes > buffer_bytes) buffer_bytes = sections[i].n_bytes;
    }
    if ((buffer_bytes && !(buffer = mem_alloc(buffer_bytes, err))) || atomic_file_open(&f, path, err))
        goto out;
    memcpy(header.magic, magic, sizeof magic);
    header.file_bytes = at;
    /* The header is written last, because the hashes are known only after the blocks were written. */
    uint64_t written = sizeof header + n_sections * sizeof *table;
    fseeko(f.stream, (off_t)written, SEEK_SET);
    for (size_t i = 0; i < n_sections; i++) {
        const void *bytes = sections[i].bytes;
        if (!bytes && sections[i].n_bytes) {
            if (sections[i].fill(sections[i].context, sections[i].which, buffer, err)) goto out;
            bytes = buffer;
        }
        xxh128_of(&table[i].hash, bytes ? bytes : "", sections[i].n_bytes);
        fwrite(zeros, 1, table[i].offset - written, f.stream);
        fwrite(bytes ? bytes : "", 1, sections[i].n_bytes, f.stream);
        written = table[i].offset + sections[i].n_bytes;
    }
    fwrite(zeros, 1, at - written, f.stream);
    xxh128_of(&header.table_hash, table, n_sections * sizeof *table);
    if (fseeko(f.stream, 0, SEEK_SET)) {
        error_errno(err, EX_IOERR, "cannot write '%s'", path);
        goto out;
    }
    fwrite(&header, sizeof header, 1, f.stream);
    fwrite(table, sizeof *table, n_sections, f.stream);
    rc = atomic_file_commit(&f, err); /* also reports a write that failed above */
out:
    atomic_file_discard(&f);
    free(buffer);
    return rc;
}

static bool hash_agrees(const struct xxh128 *want, const void *bytes, size_t n_bytes)
{
    struct xxh128 h;
    xxh128_of(&h, bytes, n_bytes);
    return !memcmp(&h, want, sizeof h);
}

static const struct file_section *section_at(const struct checkpoint *c, size_t i)
{
    return (const struct file_section *)(const void *)(c->data + sizeof(struct file_header)) + i;
}

int checkpoint_take(struct checkpoint *c, char *data, size_t n_bytes, const char *name, struct error *err)
{
    struct file_header header;
    *c = (struct checkpoint){.data = data, .n_bytes = n_bytes};
    if (n_bytes < sizeof header) goto bad;
    memcpy(&header, data, sizeof header);
    if (memcmp(header.magic, magic, sizeof magic)) {
        error_set(err, EX_DATAERR, "'%s' is not a checkpoint of this version", name);
        goto fail;
    }
    if (header.n_sections > CHECKPOINT_MAX_SECTIONS || header.file_bytes != n_bytes) goto bad;
    uint64_t table_bytes = header.n_sections * sizeof(struct file_section);
    if (table_bytes > n_bytes - sizeof header ||
        !hash_agrees(&header.table_hash, data + sizeof header, table_bytes))
        goto bad;
    c->n_sections = header.n_sections;
    for (size_t i = 0; i < c->n_sections; i++) {
        const struct file_section *s = section_at(c, i);
        if (s->name[CHECKPOINT_NAME_BYTES - 1] || s->offset % ALIGNMENT || s->offset > n_bytes ||
            s->n_bytes > n_bytes - s->offset || !hash_agrees(&s->hash, data + s->offset, s->n_bytes))
            goto bad;
    }
    return 0;
bad:
    error_set(err, EX_DATAERR, "'%s' is damaged or cut off", name);
fail:
    checkpoint_release(c);
    return -1;
}

int checkpoint_read(struct checkpoint *c, const char *path, struct error *err)
{
    char *data;
    size_t n_bytes;
    *c = CHECKPOINT_EMPTY;
    if (io_read_file(path, MAX_FILE_BYTES, &data, &n_bytes, err)) return -1;
    return checkpoint_take(c, data, n_bytes, path, err);
}

const void *checkpoint_find(const struct checkpoint *c, const char *name, size_t *n_bytes)
{
    for (size_t i = 0; i < c->n_sections; i++)
        if (!strcmp(section_at(c, i)->name, name)) {
            if (n_bytes) *n_bytes = section_at(c, i)->n_bytes;
            return c->data + section_at(c, i)->offset;
        }
    return NULL;
}

int checkpoint_copy(const struct checkpoint *c, const char *name, void *out, size_t n_bytes,
                    struct error *err)
{
    size_t there = 0;
    const void *bytes = checkpoint_find(c, name, &there);
    if (!bytes || there != n_bytes)
        return error_set(err, EX_DATAERR, "checkpoint: section '%s' has %zu bytes, %zu wanted", name, there,
                         n_bytes);
    memcpy(out, bytes, n_bytes);
    return 0;
}

void checkpoint_release(struct checkpoint *c)
{
    free(c->data);
    *c = CHECKPOINT_EMPTY;
}

/*
 * zip_archive.h: reads single members of an untrusted zip archive, such as a .keras file, into memory.
 * Stored and deflated members below 4 GiB are supported.
 */
#ifndef WINNOW_NET_ZIP_ARCHIVE_H
#define WINNOW_NET_ZIP_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define ZIP_MAX_MEMBERS 1024 /* Keras writes three, and one for each asset */

struct zip_member {
    char *name;
    uint64_t offset, packed, bytes; /* offset of its local header; its size as stored and as unpacked */
    uint32_t crc;
    unsigned method, flags;
};

struct zip_archive {
    int fd;
    uint64_t bytes, directory; /* size of the file; offset of its central directory */
    struct zip_member *members;
    size_t n_members;
};
#define ZIP_ARCHIVE_EMPTY ((struct zip_archive){.fd = -1})

/*
 * Opens the file and reads its directory. Fails with EX_DATAERR when the file is not a zip or is truncated,
 * or when it has duplicate names, names that lead out of the archive, overlapping members, or ZIP64. The
 * message does not contain the path. The caller closes the archive also after an error.
 */
int zip_open(struct zip_archive *z, const char *path, struct error *err);
void zip_close(struct zip_archive *z);
const struct zip_member *zip_find(const struct zip_archive *z, const char *name); /* or NULL */

/* Unpacks a member into *out (malloc'ed, with a NUL after it), and checks its CRC. */
int zip_read(const struct zip_archive *z, const struct zip_member *m, uint64_t max_bytes, char **out,
             size_t *n_bytes, struct error *err);

#endif

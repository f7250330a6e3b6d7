/*
 * phash-dedup --index: a file of hashes from an earlier run, perhaps from another machine. What is read is
 * found again; written and read it is the same; what is forgotten is gone.
 */
/* needs: store */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/pdq_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void clean_up(void) { unlink(path); }

static bool same_entry(const struct pdq_index_entry *a, const struct pdq_index_entry *b)
{
    return memcmp(&a->id, &b->id, sizeof a->id) == 0 && memcmp(&a->pdq, &b->pdq, sizeof a->pdq) == 0 &&
           a->pixels == b->pixels && a->family == b->family && a->oriented == b->oriented &&
           a->quality == b->quality && !a->turned == !b->turned &&
           (!a->turned || memcmp(a->turned, b->turned, PDQ_TURNED * sizeof *a->turned) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pdq_index x = PDQ_INDEX_EMPTY, again = PDQ_INDEX_EMPTY;
    struct error err = {0};
    if (!path[0]) {
        snprintf(path, sizeof path, "%s/winnow-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        int fd = mkstemp(path);
        if (fd < 0) abort();
        close(fd);
        atexit(clean_up);
    }
    if (pdq_index_read_memory(&x, (const char *)data, size, "index", &err)) {
        if (err.code != EX_DATAERR || !err.text[0]) abort();
        pdq_index_release(&x);
        return 0;
    }
    for (size_t i = 0; i < x.n; i++) {
        const struct pdq_index_entry *e = &x.entries[i];
        if (e->quality > 100 || e->family > PDQ_FAST || e->oriented > 1 ||
            pdq_index_find(&x, &e->id, (enum pdq_family)e->family, e->oriented, false) != e ||
            !pdq_index_find(&x, &e->id, (enum pdq_family)e->family, e->oriented, true) != !e->turned)
            abort();
    }
    if (x.n) {
        x.n_read = 0; /* as if all of it were new: it is written */
        if (pdq_index_save(&x, path, &err) || pdq_index_read(&again, path, &err) || again.n != x.n) abort();
        for (size_t i = 0; i < x.n; i++)
            if (!same_entry(&x.entries[i], &again.entries[i])) abort();
        const struct xxh128 gone = x.entries[x.n / 2].id;
        pdq_index_forget(&again, &gone);
        pdq_index_release(&x);
        if (again.n_forgotten == 0 || pdq_index_save(&again, path, &err) || pdq_index_read(&x, path, &err))
            abort();
        for (int f = PDQ_FULL; f <= PDQ_FAST; f++)
            if (pdq_index_find(&x, &gone, (enum pdq_family)f, true, false) ||
                pdq_index_find(&x, &gone, (enum pdq_family)f, false, false))
                abort();
    }
    pdq_index_release(&x);
    pdq_index_release(&again);
    return 0;
}

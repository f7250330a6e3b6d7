/*
 * replay_main.c: runs a fuzz target over every file of its corpus without a fuzzer, one TAP line a file, so
 * that `make check` replays old crashes under any compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    size_t n = 0, room = 0, got;
    if (!f) return -1;
    do {
        if (n == room) {
            room = room ? room * 2 : 65536;
            data = realloc(data, room);
            if (!data) abort();
        }
        got = fread(data + n, 1, room - n, f);
        n += got;
    } while (got > 0);
    fclose(f);
    /* A copy of the exact size, so that a sanitiser sees a read past the end. */
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) abort();
    memcpy(exact, data, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    int n = 0, failed = 0;
    if (argc != 2) return 64;
    DIR *d = opendir(argv[1]);
    if (!d) {
        printf("not ok 1 - no corpus folder %s\n1..1\n", argv[1]);
        return 1;
    }
    for (struct dirent *e; (e = readdir(d));) {
        char path[4096];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        int rc = replay(path);
        failed += rc != 0;
        printf("%sok %d - %s\n", rc ? "not " : "", ++n, e->d_name);
        fflush(stdout);
    }
    closedir(d);
    if (n == 0) {
        printf("not ok 1 - the corpus %s is empty\n", argv[1]);
        n = failed = 1;
    }
    printf("1..%d\n", n);
    return failed != 0;
}

/* choice_file.c: see choice_file.h. */
#include "base/choice_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define MAX_FILE_BYTES (8 << 20) /* about fifty thousand lines; winnow never writes a larger file */
#define MAX_LINE_BYTES 1200

int choice_file_path(const char *chosen, const char *name, char **out, struct error *err)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char path[4000];
    *out = NULL;
    if (chosen) return *chosen && !(*out = mem_strdup(chosen, err)) ? -1 : 0;
    if (cache && *cache)
        snprintf(path, sizeof path, "%s", cache);
    else if (home && *home)
        snprintf(path, sizeof path, "%s/.cache", home);
    else
        return 0;
    mkdir(path, 0777);
    size_t n = strlen(path);
    snprintf(path + n, sizeof path - n, "/winnow");
    mkdir(path, 0777);
    n = strlen(path);
    snprintf(path + n, sizeof path - n, "/%s", name);
    return (*out = mem_strdup(path, err)) ? 0 : -1;
}

static int remember(struct choice_file *f, const char *key, const char *value, struct error *err)
{
    if (mem_grow(&f->entries, &f->capacity, f->n + 1, sizeof *f->entries, err)) return -1;
    struct choice *c = &f->entries[f->n];
    *c = (struct choice){mem_strdup(key, err), NULL};
    if (!c->key || !(c->value = mem_strdup(value, err))) {
        free(c->key);
        return -1;
    }
    f->n++;
    return 0;
}

int choice_file_open(struct choice_file *f, const char *path, const char *prefix, struct error *err)
{
    char line[MAX_LINE_BYTES];
    size_t bytes = 0;
    int rc = 0, used = snprintf(f->prefix, sizeof f->prefix, "%s\t", prefix);
    f->path = NULL;
    f->entries = NULL;
    f->n = f->capacity = 0;
    if (!path || used >= (int)sizeof f->prefix) return 0;
    if (!(f->path = mem_strdup(path, err))) return -1;
    FILE *in = fopen(path, "re");
    while (in && !rc && fgets(line, sizeof line, in) && (bytes += strlen(line)) < MAX_FILE_BYTES) {
        char *last = strrchr(line, '\t'), *end = strchr(line, '\n');
        if (!end || !last || strncmp(line, f->prefix, (size_t)used) || last < line + used) continue;
        *end = *last = 0;
        rc = remember(f, line + used, last + 1, err);
    }
    if (in) fclose(in);
    return rc;
}

void choice_file_close(struct choice_file *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->entries[i].key);
        free(f->entries[i].value);
    }
    free(f->entries);
    free(f->path);
    *f = (struct choice_file){0};
}

const char *choice_file_find(const struct choice_file *f, const char *key, size_t *at)
{
    for (; *at < f->n; (*at)++)
        if (!strcmp(f->entries[*at].key, key)) return f->entries[(*at)++].value;
    return NULL;
}

/* Failing to write is not an error: the next run only has to measure again. */
int choice_file_add(struct choice_file *f, const char *key, const char *value, struct error *err)
{
    char line[MAX_LINE_BYTES];
    int n = snprintf(line, sizeof line, "%s%s\t%s\n", f->prefix, key, value);
    if (remember(f, key, value, err)) return -1;
    int fd =
        f->path && n < (int)sizeof line ? open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
    if (fd < 0) return 0;
    ssize_t written = write(fd, line, (size_t)n);
    (void)written;
    close(fd);
    return 0;
}

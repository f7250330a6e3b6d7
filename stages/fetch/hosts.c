/* hosts.c: see hosts.h. */
#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

int hosts_add(struct hosts *hs, const char *canonical, const struct http_url_parts *parts, uint32_t *index,
              struct error *err)
{
    char name[HTTP_HOST_MAX_BYTES + 8];
    /* The usual ports of a machine share one budget. Other ports are treated as other servers. */
    bool usual = parts->port == 80 || parts->port == 443;
    int n = snprintf(name, sizeof name, usual ? "%.*s" : "%.*s:%u", (int)parts->host_bytes,
                     canonical + parts->host, parts->port);
    uint64_t hash = random_key(name, (size_t)n);
    for (struct hash_walk w = hash_walk(&hs->index, hash); hash_walk_next(&hs->index, &w, index);)
        if (strcmp(hs->items[*index].name, name) == 0) return 0;
    const char *kept = arena_strndup(&hs->arena, name, (size_t)n, err);
    if (!kept || mem_grow(&hs->items, &hs->capacity, hs->n + 1, sizeof *hs->items, err) ||
        hash_index_add(&hs->index, hash, hs->n, err))
        return -1;
    *index = (uint32_t)hs->n++;
    hs->items[*index] = (struct host){
        .name = kept,
        .head = NO_INDEX,
        .tail = NO_INDEX,
        .next_ready = NO_INDEX,
        .next_waiting = NO_INDEX,
        .address = NO_INDEX,
        .port = parts->port,
        .loopback = http_url_is_loopback(canonical, parts),
    };
    return 0;
}

void hosts_release(struct hosts *hs)
{
    for (size_t i = 0; i < hs->n; i++) {
        if (hs->items[i].robots) robots_release(hs->items[i].robots);
        free(hs->items[i].robots);
        if (hs->items[i].tdmrep) tdmrep_release(hs->items[i].tdmrep);
        free(hs->items[i].tdmrep);
    }
    free(hs->items);
    hash_index_release(&hs->index);
    arena_release(&hs->arena);
}

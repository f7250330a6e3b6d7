/* hosts.c: see hosts.h. */
#include "hosts.h"

#include <stdio.h>
#include <stdlib.h>

int hosts_add(struct hosts *hs, const char *canonical, const struct http_url_parts *parts, uint32_t *index,
              struct error *err)
{
    char name[HTTP_HOST_MAX_BYTES + 8];
    struct xxh128 key;
    /* The usual ports of one machine share a budget; other ports are other servers. */
    bool usual = parts->port == 80 || parts->port == 443;
    int n = snprintf(name, sizeof name, usual ? "%.*s" : "%.*s:%u", (int)parts->host_bytes,
                     canonical + parts->host, parts->port);
    xxh128_of(&key, name, (size_t)n);
    if (key_table_grow(&hs->keys, hs->n, err)) return -1;
    size_t at = (size_t)key_hash(&key) & (hs->keys.capacity - 1);
    for (; hs->keys.slots[at].index != NO_INDEX; at = (at + 1) & (hs->keys.capacity - 1)) {
        *index = hs->keys.slots[at].index;
        if (hs->keys.slots[at].hash == key_hash(&key) && strcmp(hs->items[*index].name, name) == 0) return 0;
    }
    if (mem_grow(&hs->items, &hs->capacity, hs->n + 1, sizeof *hs->items, err)) return -1;
    const char *kept = arena_strndup(&hs->arena, name, (size_t)n, err);
    if (!kept) return -1;
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
    hs->keys.slots[at] = (struct key_slot){key_hash(&key), *index};
    return 0;
}

void hosts_release(struct hosts *hs)
{
    for (size_t i = 0; i < hs->n; i++) {
        if (hs->items[i].robots) robots_release(hs->items[i].robots);
        free(hs->items[i].robots);
    }
    free(hs->items);
    free(hs->keys.slots);
    arena_release(&hs->arena);
}

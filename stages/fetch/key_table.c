/* key_table.c: see key_table.h. */
#include "key_table.h"

#include <stdlib.h>

#include "base/mem.h"

int key_table_grow(struct key_table *t, size_t n, struct error *err)
{
    if ((n + 1) * 2 <= t->capacity) return 0;
    size_t bigger = t->capacity ? t->capacity * 2 : 1024;
    struct key_slot *fresh = mem_alloc(bigger * sizeof *fresh, err);
    if (!fresh) return -1;
    for (size_t i = 0; i < bigger; i++)
        fresh[i].index = NO_INDEX;
    for (size_t i = 0; i < t->capacity; i++) {
        if (t->slots[i].index == NO_INDEX) continue;
        size_t at = (size_t)t->slots[i].hash & (bigger - 1);
        while (fresh[at].index != NO_INDEX)
            at = (at + 1) & (bigger - 1);
        fresh[at] = t->slots[i];
    }
    free(t->slots);
    *t = (struct key_table){fresh, bigger};
    return 0;
}

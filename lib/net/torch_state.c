/*
 * torch_state.c: reads the pickles of an old PyTorch checkpoint without running them; see torch_state.h. The
 * file consists of magic, version, machine, state dict and list of storage keys (a pickle each), and then
 * for each key the number of its elements (int64) and the elements.
 */
#include "net/torch_state.h"

#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "net/net_parts.h"

/* A state dict takes some 140 bytes for each tensor, and NASNet-Large has 1,500 tensors. The reader keeps at
 * most one value for each byte. */
#define MAX_PICKLE_BYTES (2u << 20)
#define MAX_MEMO (1u << 18)
#define MAX_TENSORS 16384 /* two for each of NET_MAX_LAYERS; keys are compared with each other */
#define PICKLE_PROTOCOL 2

static const unsigned char mark[TORCH_MARK_BYTES + 1] =
    "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

enum kind { NONE, BOOL, INT, STRING, TUPLE, LIST, DICT, NAME, STORAGE, TENSOR, MARK, ABSENT };

enum name { NAME_ORDERED_DICT, NAME_REBUILD_TENSOR, NAME_FLOAT_STORAGE, NAME_LONG_STORAGE, N_NAMES };
static const char *const python_names[N_NAMES] = {
    [NAME_ORDERED_DICT] = "collections\nOrderedDict\n",
    [NAME_REBUILD_TENSOR] = "torch._utils\n_rebuild_tensor_v2\n",
    [NAME_FLOAT_STORAGE] = "torch\nFloatStorage\n",
    [NAME_LONG_STORAGE] = "torch\nLongStorage\n",
};

struct value {
    enum kind kind;
    /* STRING: its position in the file, with n bytes. TUPLE: its first item among `items`, with n items.
     * DICT, LIST: its number. STORAGE, TENSOR: its index in the table. */
    int64_t number;
    size_t n;
};

struct storage {
    struct value key;
    enum torch_dtype dtype;
    uint64_t n_values;
    const uint8_t *values; /* NULL until the storage occurs in the list of storages */
};

struct tensor {
    size_t storage;
    uint64_t offset;
    int rank;
    int dim[NET_MAX_RANK];
    size_t stride[NET_MAX_RANK];
};

struct entry {
    int64_t dict;
    struct value key, value;
};

struct reader {
    const uint8_t *bytes;
    size_t n_bytes, at, op_at;
    struct value *stack, *items, *memo;
    size_t n_stack, n_items, n_memo, stack_room, items_room, memo_room;
    struct entry *entries; /* entries of all dicts and lists; a list does not use the key */
    size_t n_entries, entries_room;
    struct storage *storages;
    size_t n_storages, storages_room;
    struct tensor *tensors;
    size_t n_tensors, tensors_room;
    int64_t n_containers;
    struct error *err;
};

static int refuse(struct reader *r, const char *what)
{
    return error_set(r->err, EX_DATAERR, "%s at byte %zu", what, r->op_at);
}

static bool have(const struct reader *r, size_t n) { return n <= r->n_bytes - r->at; }

static uint64_t little(const uint8_t *b, int n)
{
    uint64_t v = 0;
    while (n-- > 0)
        v = v << 8 | b[n];
    return v;
}

static bool is_text(const struct reader *r, const struct value *v, const char *text)
{
    return v->kind == STRING && v->n == strlen(text) && memcmp(r->bytes + v->number, text, v->n) == 0;
}

static int push(struct reader *r, struct value v)
{
    if (mem_grow(&r->stack, &r->stack_room, r->n_stack + 1, sizeof *r->stack, r->err)) return -1;
    r->stack[r->n_stack++] = v;
    return 0;
}

static int pop(struct reader *r, struct value *v)
{
    if (r->n_stack == 0 || r->stack[r->n_stack - 1].kind == MARK)
        return refuse(r, "an operation without its operand");
    *v = r->stack[--r->n_stack];
    return 0;
}

/* Sets *n to the number of values above the topmost mark. */
static int above_mark(struct reader *r, size_t *n)
{
    for (*n = 0; *n < r->n_stack; ++*n)
        if (r->stack[r->n_stack - 1 - *n].kind == MARK) return 0;
    return refuse(r, "an operation without its mark");
}

static int remember(struct reader *r, uint64_t place)
{
    if (r->n_stack == 0) return refuse(r, "nothing to remember");
    if (place >= MAX_MEMO) return refuse(r, "too many remembered values");
    if (mem_grow(&r->memo, &r->memo_room, (size_t)place + 1, sizeof *r->memo, r->err)) return -1;
    for (; r->n_memo <= place; r->n_memo++)
        r->memo[r->n_memo].kind = ABSENT;
    r->memo[place] = r->stack[r->n_stack - 1];
    return 0;
}

static int recall(struct reader *r, uint64_t place)
{
    if (place >= r->n_memo || r->memo[place].kind == ABSENT || r->memo[place].kind == MARK)
        return refuse(r, "a value that was not remembered");
    return push(r, r->memo[place]);
}

static int make_tuple(struct reader *r, size_t n)
{
    struct value v = {TUPLE, (int64_t)r->n_items, n};
    if (mem_grow(&r->items, &r->items_room, r->n_items + n + 1, sizeof *r->items, r->err)) return -1;
    for (size_t i = 0; i < n; i++)
        if (pop(r, &r->items[r->n_items + n - 1 - i])) return -1;
    r->n_items += n;
    return push(r, v);
}

static int add_entry(struct reader *r, const struct value *container, struct value key, struct value value)
{
    if (mem_grow(&r->entries, &r->entries_room, r->n_entries + 1, sizeof *r->entries, r->err)) return -1;
    r->entries[r->n_entries++] = (struct entry){container->number, key, value};
    return 0;
}

/* Adds the n topmost values to the dict or list below them (and below the mark, if there is one). */
static int put_into(struct reader *r, enum kind kind, size_t n, bool marked)
{
    size_t first = r->n_stack - n, below = first - marked;
    if (below == 0 || r->stack[below - 1].kind != kind || (kind == DICT && n % 2))
        return refuse(r, "items without the container that they belong to");
    for (size_t i = first; i < r->n_stack; i += kind == DICT ? 2 : 1) {
        const struct value *v = &r->stack[i];
        if (v->kind == MARK || (kind == DICT && (v->kind != STRING || v[1].kind == MARK)))
            return refuse(r, "a key that is not text");
        if (add_entry(r, &r->stack[below - 1], v[0], kind == DICT ? v[1] : v[0])) return -1;
    }
    r->n_stack = below;
    return 0;
}

static int find_name(struct reader *r)
{
    const char *at = (const char *)r->bytes + r->at;
    size_t left = r->n_bytes - r->at, length = 0;
    for (int i = 0; i < N_NAMES; i++) {
        size_t n = strlen(python_names[i]);
        if (n > left || memcmp(at, python_names[i], n) != 0) continue;
        r->at += n;
        return push(r, (struct value){NAME, i, 0});
    }
    char shown[80];
    for (int lines = 0; length < left && length < sizeof shown - 1 && lines < 2; length++) {
        shown[length] = at[length] == '\n' ? '.' : at[length];
        lines += at[length] == '\n';
    }
    shown[length && shown[length - 1] == '.' ? length - 1 : length] = 0;
    return error_set(r->err, EX_DATAERR,
                     "it asks for the Python name '%s' at byte %zu, which a state dict does not need: "
                     "nothing of "
                     "it is run",
                     shown, r->op_at);
}

/* Makes a storage from the tuple ('storage', type, key, place, number of elements, None). */
static int make_storage(struct reader *r)
{
    struct value v;
    if (pop(r, &v)) return -1;
    const struct value *item = v.kind == TUPLE && v.n == 6 ? &r->items[v.number] : NULL;
    if (!item || !is_text(r, &item[0], "storage") || item[1].kind != NAME ||
        item[1].number < NAME_FLOAT_STORAGE || item[2].kind != STRING || item[3].kind != STRING ||
        item[4].kind != INT || item[4].number < 0 || item[5].kind != NONE)
        return refuse(r, "a storage that is not of floats or longs, whole, and named");
    struct storage s = {.key = item[2],
                        .dtype = item[1].number == NAME_FLOAT_STORAGE ? TORCH_FLOAT : TORCH_LONG,
                        .n_values = (uint64_t)item[4].number};
    if (r->n_storages >= MAX_TENSORS) return refuse(r, "too many storages");
    if (mem_grow(&r->storages, &r->storages_room, r->n_storages + 1, sizeof s, r->err)) return -1;
    r->storages[r->n_storages] = s;
    return push(r, (struct value){STORAGE, (int64_t)r->n_storages++, 0});
}

/* (storage, offset, sizes, strides, requires_grad, hooks) */
static int make_tensor(struct reader *r, const struct value *arguments)
{
    const struct value *a = arguments->n == 6 ? &r->items[arguments->number] : NULL;
    if (!a || a[0].kind != STORAGE || a[1].kind != INT || a[2].kind != TUPLE || a[3].kind != TUPLE ||
        a[2].n != a[3].n || a[2].n > NET_MAX_RANK || a[4].kind != BOOL)
        return refuse(r, "a tensor of a form that is not known");
    struct tensor t = {.storage = (size_t)a[0].number, .rank = (int)a[2].n};
    uint64_t n_values = r->storages[t.storage].n_values;
    if (a[1].number < 0 || (uint64_t)a[1].number > n_values) return refuse(r, "a tensor outside its storage");
    t.offset = (uint64_t)a[1].number;
    uint64_t last = t.offset;
    for (int i = 0; i < t.rank; i++) {
        const struct value *size = &r->items[a[2].number + i], *stride = &r->items[a[3].number + i];
        if (size->kind != INT || stride->kind != INT || size->number < 1 || size->number > NET_MAX_DIM ||
            stride->number < 0 || (uint64_t)stride->number > n_values)
            return refuse(r, "a tensor of impossible sizes");
        t.dim[i] = (int)size->number;
        t.stride[i] = (size_t)stride->number;
        size_t steps;
        if (!size_mul((size_t)(t.dim[i] - 1), t.stride[i], &steps) || !size_add(last, steps, &last))
            return refuse(r, "a tensor outside its storage");
    }
    if (last >= n_values) return refuse(r, "a tensor outside its storage");
    if (r->n_tensors >= MAX_TENSORS) return refuse(r, "too many tensors");
    if (mem_grow(&r->tensors, &r->tensors_room, r->n_tensors + 1, sizeof t, r->err)) return -1;
    r->tensors[r->n_tensors] = t;
    return push(r, (struct value){TENSOR, (int64_t)r->n_tensors++, 0});
}

static int call(struct reader *r)
{
    struct value arguments, function;
    if (pop(r, &arguments) || pop(r, &function)) return -1;
    if (function.kind != NAME || arguments.kind != TUPLE)
        return refuse(r, "a call of what is not a function");
    if (function.number == NAME_REBUILD_TENSOR) return make_tensor(r, &arguments);
    if (function.number != NAME_ORDERED_DICT || arguments.n) return refuse(r, "a call that is not known");
    return push(r, (struct value){DICT, r->n_containers++, 0});
}

/* Handles BUILD, which sets an attribute of the dict (_metadata, versions of modules). It is not needed and
 * is dropped. */
static int build(struct reader *r)
{
    struct value state;
    if (pop(r, &state)) return -1;
    if (state.kind != DICT || r->n_stack == 0 || r->stack[r->n_stack - 1].kind != DICT)
        return refuse(r, "a state of what is not a dict");
    return 0;
}

static int number(struct reader *r, int n_bytes, bool is_signed)
{
    if (!have(r, (size_t)n_bytes)) return refuse(r, "a number that is cut off");
    uint64_t v = little(r->bytes + r->at, n_bytes);
    r->at += (size_t)n_bytes;
    if (is_signed && n_bytes && n_bytes < 8 && v >> (8 * n_bytes - 1)) v |= ~(uint64_t)0 << (8 * n_bytes);
    return push(r, (struct value){INT, (int64_t)v, 0});
}

static int text(struct reader *r)
{
    if (!have(r, 4)) return refuse(r, "a text that is cut off");
    size_t n = (size_t)little(r->bytes + r->at, 4);
    r->at += 4;
    if (!have(r, n)) return refuse(r, "a text that is cut off");
    struct value v = {STRING, (int64_t)r->at, n};
    r->at += n;
    return push(r, v);
}

static int place(struct reader *r, int n_bytes, int (*use)(struct reader *, uint64_t))
{
    if (!have(r, (size_t)n_bytes)) return refuse(r, "an operation that is cut off");
    uint64_t v = little(r->bytes + r->at, n_bytes);
    r->at += (size_t)n_bytes;
    return use(r, v);
}

static int long_number(struct reader *r)
{
    int n = have(r, 1) ? r->bytes[r->at] : 9;
    r->at++;
    return n > 8 ? refuse(r, "a number of more than 64 bits") : number(r, n, true);
}

/* Executes one operation that is not STOP. */
static int step(struct reader *r, uint8_t op)
{
    size_t n;
    switch (op) {
    case '(': return push(r, (struct value){MARK, 0, 0});
    case ')': return make_tuple(r, 0);
    case 0x85: return make_tuple(r, 1);
    case 0x86: return make_tuple(r, 2);
    case 0x87: return make_tuple(r, 3);
    case 't':
        if (above_mark(r, &n)) return -1;
        struct value v = {TUPLE, (int64_t)r->n_items, n};
        if (make_tuple(r, n)) return -1;
        r->n_stack--;
        r->stack[r->n_stack - 1] = v; /* in the mark's place */
        return 0;
    case '}': return push(r, (struct value){DICT, r->n_containers++, 0});
    case ']': return push(r, (struct value){LIST, r->n_containers++, 0});
    case 's':
        return r->n_stack < 3 ? refuse(r, "an operation without its operand") : put_into(r, DICT, 2, false);
    case 'u': return above_mark(r, &n) ? -1 : put_into(r, DICT, n, true);
    case 'a':
        return r->n_stack < 2 ? refuse(r, "an operation without its operand") : put_into(r, LIST, 1, false);
    case 'e': return above_mark(r, &n) ? -1 : put_into(r, LIST, n, true);
    case 'N': return push(r, (struct value){NONE, 0, 0});
    case 0x88: return push(r, (struct value){BOOL, 1, 0});
    case 0x89: return push(r, (struct value){BOOL, 0, 0});
    case 'K': return number(r, 1, false);
    case 'M': return number(r, 2, false);
    case 'J': return number(r, 4, true);
    case 0x8a: return long_number(r);
    case 'X': return text(r);
    case 'q': return place(r, 1, remember);
    case 'r': return place(r, 4, remember);
    case 'h': return place(r, 1, recall);
    case 'j': return place(r, 4, recall);
    case 'c': return find_name(r);
    case 'Q': return make_storage(r);
    case 'R': return call(r);
    case 'b': return build(r);
    default:
        return error_set(r->err, EX_DATAERR,
                         "pickle operation 0x%02x at byte %zu, which a state dict does not need", op,
                         r->op_at);
    }
}

/* Reads the value of one pickle. Each has its own stack and memo; the tables
 * of tensors and entries are kept. */
static int read_pickle(struct reader *r, struct value *result)
{
    size_t begin = r->at;
    r->n_stack = r->n_memo = 0;
    r->op_at = r->at;
    if (!have(r, 2) || r->bytes[r->at] != 0x80 || r->bytes[r->at + 1] != PICKLE_PROTOCOL)
        return refuse(r, "no pickle of protocol 2");
    for (r->at += 2;;) {
        r->op_at = r->at;
        if (!have(r, 1)) return refuse(r, "a pickle that is cut off");
        if (r->at - begin > MAX_PICKLE_BYTES) return refuse(r, "a pickle of more than 2 MiB");
        uint8_t op = r->bytes[r->at++];
        if (op == '.') break;
        if (step(r, op)) return -1;
    }
    if (r->n_stack != 1 || r->stack[0].kind == MARK)
        return refuse(r, "a pickle that leaves more than one value");
    *result = r->stack[0];
    return 0;
}

static const struct value *item_of(const struct reader *r, const struct value *dict, const char *key)
{
    for (size_t i = r->n_entries; i-- > 0;)
        if (r->entries[i].dict == dict->number && is_text(r, &r->entries[i].key, key))
            return &r->entries[i].value;
    return NULL;
}

static int read_header(struct reader *r)
{
    struct value version, machine;
    r->at = TORCH_MARK_BYTES;
    if (read_pickle(r, &version) || read_pickle(r, &machine)) return -1;
    const struct value *little_endian = machine.kind == DICT ? item_of(r, &machine, "little_endian") : NULL;
    if (version.kind != INT || version.number != 1001 || !little_endian || little_endian->kind != BOOL ||
        !little_endian->number)
        return error_set(r->err, EX_DATAERR, "not a checkpoint of version 1001 from a little-endian machine");
    return 0;
}

/* Sets the bytes of every storage with this key. A storage that several tensors share occurs several
 * times. */
static int give_storage(struct reader *r, const struct value *key, const uint8_t *values, uint64_t n_values,
                        enum torch_dtype *dtype)
{
    bool found = false;
    for (size_t i = 0; i < r->n_storages; i++) {
        struct storage *s = &r->storages[i];
        if (s->key.n != key->n || memcmp(r->bytes + s->key.number, r->bytes + key->number, key->n) != 0)
            continue;
        if (s->values || s->n_values != n_values || (found && *dtype != s->dtype))
            return error_set(r->err, EX_DATAERR, "a storage whose size is not what its tensors say");
        *dtype = s->dtype;
        s->values = values;
        found = true;
    }
    return found ? 0 : error_set(r->err, EX_DATAERR, "a storage that no tensor has");
}

static int read_storages(struct reader *r)
{
    struct value list;
    size_t first = r->n_entries;
    if (read_pickle(r, &list)) return -1;
    if (list.kind != LIST) return refuse(r, "no list of storages");
    for (size_t i = first; i < r->n_entries; i++) {
        enum torch_dtype dtype = TORCH_FLOAT;
        const struct entry *e = &r->entries[i];
        if (e->dict != list.number || e->value.kind != STRING) return refuse(r, "no list of storages");
        if (!have(r, 8)) return error_set(r->err, EX_DATAERR, "it is cut off");
        uint64_t n_values = little(r->bytes + r->at, 8);
        r->at += 8;
        if (give_storage(r, &e->value, r->bytes + r->at, n_values, &dtype)) return -1;
        size_t each = dtype == TORCH_FLOAT ? 4 : 8;
        if (n_values > (r->n_bytes - r->at) / each) return error_set(r->err, EX_DATAERR, "it is cut off");
        r->at += (size_t)n_values * each;
    }
    if (r->at != r->n_bytes) return error_set(r->err, EX_DATAERR, "bytes after its last storage");
    return 0;
}

static int collect(struct reader *r, const struct value *dict, struct torch_state *s)
{
    if (!(s->tensors = mem_zalloc(r->n_entries + 1, sizeof *s->tensors, r->err))) return -1;
    for (size_t i = 0; i < r->n_entries; i++) {
        const struct entry *e = &r->entries[i];
        if (e->dict != dict->number) continue;
        int length = e->key.n > 80 ? 80 : (int)e->key.n;
        const char *name = (const char *)r->bytes + e->key.number;
        if (e->value.kind != TENSOR)
            return error_set(r->err, EX_DATAERR, "not a state dict: '%.*s' is not a tensor", length, name);
        const struct tensor *t = &r->tensors[e->value.number];
        const struct storage *of = &r->storages[t->storage];
        if (!of->values)
            return error_set(r->err, EX_DATAERR, "the values of '%.*s' are not there", length, name);
        struct torch_tensor *out = &s->tensors[s->n_tensors++];
        *out =
            (struct torch_tensor){.name = name, .name_bytes = e->key.n, .dtype = of->dtype, .rank = t->rank};
        memcpy(out->dim, t->dim, sizeof out->dim);
        memcpy(out->stride, t->stride, sizeof out->stride);
        out->values = of->values + t->offset * (of->dtype == TORCH_FLOAT ? 4 : 8);
    }
    return 0;
}

bool torch_state_is(const void *first, size_t n)
{
    return n >= TORCH_MARK_BYTES && memcmp(first, mark, TORCH_MARK_BYTES) == 0;
}

int torch_state_open(struct torch_state *s, const char *path, struct error *err)
{
    struct reader r = {.err = err};
    struct value dict;
    int rc = -1;
    *s = TORCH_STATE_EMPTY;
    if (io_read_file(path, NET_MAX_WEIGHT_BYTES, &s->bytes, &r.n_bytes, err)) return -1;
    r.bytes = (const uint8_t *)s->bytes;
    if (!torch_state_is(r.bytes, r.n_bytes)) {
        error_set(err, EX_DATAERR, "not an old PyTorch checkpoint");
        goto out;
    }
    if (read_header(&r) || read_pickle(&r, &dict)) goto out;
    if (dict.kind != DICT) {
        error_set(err, EX_DATAERR, "not a state dict");
        goto out;
    }
    rc = read_storages(&r) || collect(&r, &dict, s) ? -1 : 0;
out:
    free(r.stack);
    free(r.items);
    free(r.memo);
    free(r.entries);
    free(r.storages);
    free(r.tensors);
    if (rc) {
        torch_state_release(s);
        error_prefix(err, "'%s', a PyTorch checkpoint", path);
    }
    return rc;
}

void torch_state_release(struct torch_state *s)
{
    free(s->bytes);
    free(s->tensors);
    *s = TORCH_STATE_EMPTY;
}

const struct torch_tensor *torch_state_find(const struct torch_state *s, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < s->n_tensors; i++)
        if (s->tensors[i].name_bytes == n && memcmp(s->tensors[i].name, name, n) == 0) return &s->tensors[i];
    return NULL;
}

float torch_tensor_at(const struct torch_tensor *t, int i0, int i1, int i2, int i3)
{
    size_t at = (size_t)i0 * t->stride[0] + (size_t)i1 * t->stride[1] + (size_t)i2 * t->stride[2] +
                (size_t)i3 * t->stride[3];
    uint32_t bits = (uint32_t)little(t->values + 4 * at, 4);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

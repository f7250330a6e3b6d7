/*
 * onnx_scan.c: checks an untrusted file before protobuf-c unpacks it. protobuf-c does not limit the nesting
 * of messages, and takes about 200 bytes of memory for an empty message of two bytes.
 */
#ifdef WINNOW_WITHOUT_ONNX
typedef int onnx_scan_is_left_out;
#else

#include "onnx/onnx_reader.h"

#define MAX_DEPTH 16 /* model, graph, node, attribute, tensor: 5 in a graph without branches */
/* Limit on messages and strings. A network of 8,192 layers has about 300,000; each takes up to 200 bytes. */
#define MAX_PARTS 4000000

struct scan {
    size_t n_parts;
    struct error *err;
};

static bool read_varint(const unsigned char **at, const unsigned char *end, uint64_t *out)
{
    *out = 0;
    for (int shift = 0; shift < 70 && *at < end; shift += 7) {
        unsigned char c = *(*at)++;
        if (shift < 64) *out |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) return true;
    }
    return false;
}

static int damaged(struct scan *s, const char *what)
{
    return error_set(s->err, EX_DATAERR, "not a whole ONNX file: %s", what);
}

static int scan_message(struct scan *s, const ProtobufCMessageDescriptor *d, const unsigned char *at,
                        const unsigned char *end, int depth)
{
    if (depth > MAX_DEPTH) return error_set(s->err, EX_DATAERR, "messages nested deeper than %d", MAX_DEPTH);
    while (at < end) {
        uint64_t tag, n;
        if (!read_varint(&at, end, &tag)) return damaged(s, "it ends in a tag");
        switch (tag & 7) {
        case 0:
            if (!read_varint(&at, end, &n)) return damaged(s, "it ends in a number");
            continue;
        case 1: n = 8; break;
        case 5: n = 4; break;
        case 2:
            if (!read_varint(&at, end, &n)) return damaged(s, "it ends in a length");
            break;
        default: return damaged(s, "a field of an unknown kind");
        }
        if (n > (uint64_t)(end - at)) return damaged(s, "a field is longer than what is left");
        if ((tag & 7) == 2 && ++s->n_parts > MAX_PARTS)
            return error_set(s->err, EX_DATAERR, "more than %d parts", MAX_PARTS);
        const ProtobufCFieldDescriptor *f =
            (tag & 7) == 2 && tag >> 3 <= UINT32_MAX
                ? protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3))
                : NULL;
        if (f && f->type == PROTOBUF_C_TYPE_MESSAGE && scan_message(s, f->descriptor, at, at + n, depth + 1))
            return -1;
        at += n;
    }
    return 0;
}

int onnx_scan(const unsigned char *bytes, size_t n_bytes, struct error *err)
{
    struct scan s = {.err = err};
    return scan_message(&s, &onnx__model_proto__descriptor, bytes, bytes + n_bytes, 1);
}

#endif

"""AVIF and HEIC files with properties put in by hand: add(bytes, [(type, payload)...]) gives them to the primary item, in this order.
boxes(bytes, start, end) walks, find(bytes, path) finds. For files as avifenc and heif-enc write them: meta first, one mdat behind."""
import struct


def boxes(b, at, end):
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", b[at:at + 8])
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", b[at + 8:at + 16])[0], 16
        elif size == 0:
            size = end - at
        yield kind.decode("latin1"), at, at + head, at + size
        at += size


def find(b, path):
    """(start, content, end) of the box at "meta/iprp/ipco"."""
    start, at, end = 0, 0, len(b)
    for name in path.split("/"):
        for kind, s, content, e in boxes(b, at, end):
            if kind == name:
                start, at, end = s, content + (4 if kind == "meta" else 0), e
                break
        else:
            raise KeyError(path)
    return start, at, end


def primary(b):
    _, at, _ = find(b, "meta/pitm")
    return struct.unpack(">H", b[at + 4:at + 6])[0]


def box(kind, payload):
    return struct.pack(">I", 8 + len(payload)) + kind.encode() + payload


def association(b, item, extra):
    """ipma with the property numbers of extra, all essential, behind those of item."""
    _, at, end = find(b, "meta/iprp/ipma")
    version, flags = b[at], b[at + 3]
    n, at = struct.unpack(">I", b[at + 4:at + 8])[0], at + 8
    wide = 2 if flags & 1 else 1
    out = b[end - (end - at) - 8:at]
    for _ in range(n):
        size = 4 if version else 2
        name = int.from_bytes(b[at:at + size], "big")
        count = b[at + size]
        listed = b[at + size + 1:at + size + 1 + count * wide]
        if name == item:
            listed += b"".join(((1 << (8 * wide - 1)) | p).to_bytes(wide, "big") for p in extra)
        out += b[at:at + size] + bytes([len(listed) // wide]) + listed
        at += size + 1 + count * wide
    return box("ipma", out)


def moved(b, by, where):
    """b with the file offsets in iloc that point past where moved."""
    _, at, _ = find(b, "meta/iloc")
    version = b[at]
    offset_size, length_size, base_size = b[at + 4] >> 4, b[at + 4] & 15, b[at + 5] >> 4
    index_size = b[at + 5] & 15 if version else 0
    out, n, at = bytearray(b), int.from_bytes(b[at + 6:at + (8 if version < 2 else 10)], "big"), at + (8 if version < 2 else 10)

    def shift(at, size):
        value = int.from_bytes(out[at:at + size], "big")
        if size and value >= where:
            out[at:at + size] = (value + by).to_bytes(size, "big")
            return True
        return False

    for _ in range(n):
        at += 2 if version < 2 else 4
        method = out[at + 1] & 15 if version else 0
        at += (2 if version else 0) + 2
        based = method == 0 and shift(at, base_size)
        at += base_size
        extents, at = int.from_bytes(out[at:at + 2], "big"), at + 2
        for _ in range(extents):
            at += index_size
            if method == 0 and not based:
                shift(at, offset_size)
            at += offset_size + length_size
    return bytes(out)


def add(b, properties):
    start, at, end = find(b, "meta/iprp/ipco")
    first = 1 + sum(1 for _ in boxes(b, at, end))
    ipco = box("ipco", b[at:end] + b"".join(box(k, p) for k, p in properties))
    ipma = association(b, primary(b), range(first, first + len(properties)))
    iprp_start, _, iprp_end = find(b, "meta/iprp")
    iprp = box("iprp", ipco + ipma)
    by = len(iprp) - (iprp_end - iprp_start)
    meta, _, meta_end = find(b, "meta")
    b = moved(b, by, meta_end)
    return b[:meta] + struct.pack(">I", meta_end - meta + by) + b[meta + 4:iprp_start] + iprp + b[iprp_end:]


def irot(quarter_turns_anticlockwise):
    return "irot", bytes([quarter_turns_anticlockwise])


def imir(mode):
    return "imir", bytes([mode])


def clap(width, height, left, top, whole_width, whole_height):
    """The clean aperture of that size at left, top."""
    x, y = 2 * left + width - whole_width, 2 * top + height - whole_height
    return "clap", struct.pack(">IIIIiIiI", width, 1, height, 1, x, 2, y, 2)

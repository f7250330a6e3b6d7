// Just enough PNG for the tests: 8-bit RGB, not interlaced.
const zlib = require('zlib');
exports.read = bytes => {
  let at = 8, w, h, type, data = [];
  while (at < bytes.length) {
    const n = bytes.readUInt32BE(at), kind = bytes.toString('latin1', at + 4, at + 8), body = bytes.subarray(at + 8, at + 8 + n);
    if (kind === 'IHDR') { w = body.readUInt32BE(0); h = body.readUInt32BE(4); type = body[8] + ' ' + body[9] + ' ' + body[12]; }
    if (kind === 'IDAT') data.push(body);
    at += 12 + n;
  }
  if (type !== '8 2 0') throw new Error('not plain 8-bit RGB: ' + type);
  const raw = zlib.inflateSync(Buffer.concat(data)), rgb = new Uint8Array(w * h * 3), stride = w * 3;
  for (let y = 0; y < h; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const a = x >= 3 ? rgb[y * stride + x - 3] : 0, b = y ? rgb[(y - 1) * stride + x] : 0, c = x >= 3 && y ? rgb[(y - 1) * stride + x - 3] : 0;
      const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
      const guess = [0, a, b, (a + b) >> 1, pa <= pb && pa <= pc ? a : pb <= pc ? b : c][filter];
      rgb[y * stride + x] = raw[y * (stride + 1) + 1 + x] + guess;
    }
  }
  return { w, h, rgb };
};
const table = Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
const crc = b => { let c = 0xffffffff; for (const v of b) c = table[(c ^ v) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0; };
exports.write = (w, h, rgb) => {
  const chunk = (kind, body) => {
    const out = Buffer.alloc(12 + body.length);
    out.writeUInt32BE(body.length, 0);
    out.write(kind, 4, 'latin1');
    body.copy(out, 8);
    out.writeUInt32BE(crc(out.subarray(4, 8 + body.length)), 8 + body.length);
    return out;
  };
  const head = Buffer.alloc(13), raw = Buffer.alloc(h * (w * 3 + 1));
  head.writeUInt32BE(w, 0);
  head.writeUInt32BE(h, 4);
  head.set([8, 2, 0, 0, 0], 8);
  for (let y = 0; y < h; y++) Buffer.from(rgb.buffer, rgb.byteOffset + y * w * 3, w * 3).copy(raw, y * (w * 3 + 1) + 1);
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
};
// usage: node png.cjs make SIDE COUNT FOLDER: smooth waves, blocks and noise from a seed, never the same twice.
if (require.main === module) {
  const fs = require('fs'), path = require('path');
  const [, , , side, count, folder] = process.argv, n = Number(side);
  let state = 12345;
  const random = () => { state = (Math.imul(state, 1664525) + 1013904223) >>> 0; return state / 4294967296; };
  fs.mkdirSync(folder, { recursive: true });
  for (let i = 0; i < Number(count); i++) {
    const rgb = new Uint8Array(n * n * 3), waves = Array.from({ length: 9 }, () => [random() * 20, random() * 20, random() * 6.28, 20 + random() * 60]);
    const noise = random() * 60, boxes = Array.from({ length: 4 }, () => [random() * n, random() * n, random() * n / 2, random() * 255, random() * 255, random() * 255]);
    for (let y = 0, o = 0; y < n; y++)
      for (let x = 0; x < n; x++) {
        const box = boxes.find(b => Math.abs(x - b[0]) < b[2] && Math.abs(y - b[1]) < b[2] / 2);
        for (let c = 0; c < 3; c++) {
          let v = 128 + (random() - 0.5) * noise;
          for (let k = c; k < 9; k += 3) v += waves[k][3] * Math.sin(waves[k][0] * x / n + waves[k][1] * y / n + waves[k][2]);
          if (box) v = (v + 3 * box[3 + c]) / 4;
          rgb[o++] = Math.max(0, Math.min(255, v));
        }
      }
    fs.writeFileSync(path.join(folder, `made-${String(i).padStart(2, '0')}.png`), exports.write(n, n, rgb));
  }
}

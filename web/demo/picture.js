/*
 * picture.js: what winnow's programs do to a picture, in the browser: resize as docs/preprocessing.md says (the same taps and
 * rounding as lib/image/resize.c), the PDQ hash (full), the content hash (XXH3-128). Pure functions, also run by node's tests.
 */
'use strict';
(function (root) {

  // --- resize ---------------------------------------------------------------------------------------------------------

  const sinc = x => x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
  const lanczos3 = x => Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
  const cubic = t => {                        // Keys' with a = -1/2, as in Pillow
    const x = Math.abs(t);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  };
  const triangle = x => Math.abs(x) < 1 ? 1 - Math.abs(x) : 0;

  function filterTaps(method, i, nIn, scale) {
    const weights = [];
    if (method === 'area') {
      const from = i * scale, to = (i + 1) * scale, first = Math.floor(from + 1e-9);
      const last = Math.min(nIn, Math.ceil(to - 1e-9));
      for (let j = first; j < last; j++) weights.push(Math.min(to, j + 1) - Math.max(from, j));
      return { first, weights };
    }
    const kernel = method === 'lanczos' ? lanczos3 : method === 'bicubic' ? cubic : triangle;
    const widen = scale > 1 ? scale : 1, support = (method === 'lanczos' ? 3 : method === 'bicubic' ? 2 : 1) * widen, centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5)), to = Math.min(nIn, Math.floor(centre + support + 0.5));
    for (let j = first; j < to; j++) {
      const x = (j + 0.5 - centre) / widen;
      weights.push(kernel(x));
    }
    return { first, weights };
  }

  // C's lrint: ties to even.
  function rint(x) {
    const f = Math.floor(x), d = x - f;
    return d < 0.5 ? f : d > 0.5 ? f + 1 : f % 2 === 0 ? f : f + 1;
  }

  function makeTaps(method, nIn, nOut) {
    const scale = nIn / nOut, all = [];
    let largest = 0, bits = 12;
    for (let i = 0; i < nOut; i++) {
      const t = filterTaps(method, i, nIn, scale);
      let sum = 0;
      for (const w of t.weights) sum += w;
      for (let k = 0; k < t.weights.length; k++) {
        t.weights[k] /= sum;
        largest = Math.max(largest, Math.abs(t.weights[k]));
      }
      all.push(t);
    }
    while (bits < 20 && largest * (1 << (bits + 1)) < 32700) bits++;
    for (const t of all) {                      // rounding the running sum: flat areas stay exactly flat
      let whole = 0, given = 0;
      t.q = t.weights.map(w => {
        whole += w * (1 << bits);
        const q = rint(whole) - given;
        given += q;
        return q;
      });
    }
    return { all, bits };
  }

  const clip = v => v < 0 ? 0 : v > 255 ? 255 : v;

  // rgb: Uint8Array of w * h * 3. Along the rows, then down the columns, 8 bits between.
  function resizeTaps(rgb, w, h, width, height, method) {
    let from = rgb;
    if (w !== width) {
      const { all, bits } = makeTaps(method, w, width), to = new Uint8Array(width * h * 3), half = 1 << (bits - 1);
      for (let y = 0, o = 0; y < h; y++)
        for (let x = 0; x < width; x++) {
          const { first, q } = all[x];
          let r = half, g = half, b = half;
          for (let k = 0, a = (y * w + first) * 3; k < q.length; k++, a += 3) {
            r += q[k] * from[a];
            g += q[k] * from[a + 1];
            b += q[k] * from[a + 2];
          }
          to[o++] = clip(r >> bits);
          to[o++] = clip(g >> bits);
          to[o++] = clip(b >> bits);
        }
      from = to;
    }
    if (h !== height) {
      const { all, bits } = makeTaps(method, h, height), to = new Uint8Array(width * height * 3), half = 1 << (bits - 1);
      for (let y = 0, o = 0; y < height; y++) {
        const { first, q } = all[y];
        for (let x = 0; x < width * 3; x++) {
          let sum = half;
          for (let k = 0, a = first * width * 3 + x; k < q.length; k++, a += width * 3) sum += q[k] * from[a];
          to[o++] = clip(sum >> bits);
        }
      }
      from = to;
    }
    return from;
  }

  // TensorFlow.js' resizeBilinear with aligned corners, as nsfwjs reads pictures.
  function resizeTfjs(rgb, w, h, width, height) {
    const rows = height > 1 ? (h - 1) / (height - 1) : h, columns = width > 1 ? (w - 1) / (width - 1) : w;
    const to = new Uint8Array(width * height * 3);
    for (let y = 0, o = 0; y < height; y++) {
      const sy = rows * y, y0 = Math.floor(sy), y1 = Math.min(h - 1, Math.ceil(sy)), fy = sy - y0;
      for (let x = 0; x < width; x++) {
        const sx = columns * x, x0 = Math.floor(sx), x1 = Math.min(w - 1, Math.ceil(sx)), fx = sx - x0;
        for (let c = 0; c < 3; c++) {
          const a = rgb[(y0 * w + x0) * 3 + c], b = rgb[(y0 * w + x1) * 3 + c];
          const d = rgb[(y1 * w + x0) * 3 + c], e = rgb[(y1 * w + x1) * 3 + c];
          const t = a + (b - a) * fx, u = d + (e - d) * fx;
          to[o++] = Math.floor(t + (u - t) * fy + 0.5);
        }
      }
    }
    return to;
  }

  function resizeTo(rgb, w, h, width, height, method) {
    if (w === width && h === height) return rgb;
    return method === 'tfjs' ? resizeTfjs(rgb, w, h, width, height) : resizeTaps(rgb, w, h, width, height, method || 'bilinear');
  }

  // Where the middle begins: a half is rounded to the even number.
  function middle(size, side) {
    const over = size - side, half = Math.floor(over / 2);
    return over % 2 && half % 2 ? half + 1 : half;
  }

  // rule: 'bilinear' stretches to the square; 'bilinear+256' makes the shorter side 256, 'bilinear+256x256' both, and the middle is taken.
  function resize(rgb, w, h, side, rule) {
    const [, method, first, both] = /^([a-z]*)(?:\+(\d+)(x\d+)?)?$/.exec(rule || 'bilinear');
    if (!first) return resizeTo(rgb, w, h, side, side, method);
    const shorter = Math.min(w, h), width = both ? +first : Math.floor(w * first / shorter);
    const height = both ? +first : Math.floor(h * first / shorter), whole = resizeTo(rgb, w, h, width, height, method);
    const left = middle(width, side), top = middle(height, side), to = new Uint8Array(side * side * 3);
    for (let y = 0; y < side; y++) {
      const from = ((top + y) * width + left) * 3;
      to.set(whole.subarray(from, from + side * 3), y * side * 3);
    }
    return to;
  }

  function rgbOf(rgba) {
    const n = rgba.length / 4, rgb = new Uint8Array(n * 3);
    for (let i = 0, a = 0, o = 0; i < n; i++, a += 4) {
      rgb[o++] = rgba[a];
      rgb[o++] = rgba[a + 1];
      rgb[o++] = rgba[a + 2];
    }
    return rgb;
  }

  // --- PDQ, family "full" -----------------------------------------------------------------------------------------------

  const f32 = Math.fround;

  // One box filter over n samples at `from`, `step` apart, window w; the running sum is float32 and its order is part of the hash.
  function box(to, from, base, n, step, w) {
    const half = (w + 2) >> 1;
    let sum = 0, count = 0, right = base, left = base, out = base;
    for (let i = 0; i < half - 1; i++, right += step) { sum = f32(sum + from[right]); count++; }
    for (let i = 0; i < w - half + 1; i++, right += step, out += step) { sum = f32(sum + from[right]); count++; to[out] = sum / count; }
    for (let i = 0; i < n - w; i++, right += step, left += step, out += step) {
      sum = f32(sum + from[right]);
      sum = f32(sum - from[left]);
      to[out] = sum / count;
    }
    for (let i = 0; i < half - 1; i++, left += step, out += step) { sum = f32(sum - from[left]); count--; to[out] = sum / count; }
  }

  let cosines = null;
  function dctMatrix() {
    if (cosines) return cosines;
    cosines = new Float32Array(16 * 64);
    const scale = f32(Math.sqrt(2 / 64));
    for (let i = 0; i < 16; i++)
      for (let j = 0; j < 64; j++) cosines[i * 64 + j] = scale * Math.cos(Math.PI / 2 / 64 * (i + 1) * (2 * j + 1));
    return cosines;
  }

  function pdq(rgb, w, h) {
    if (w < 5 || h < 5) return { hash: '0'.repeat(64), quality: 0 };
    let a = new Float32Array(w * h), b = new Float32Array(w * h);
    const R = f32(0.299), G = f32(0.587), B = f32(0.114);
    for (let i = 0, k = 0; i < w * h; i++, k += 3) a[i] = f32(f32(f32(R * rgb[k]) + f32(G * rgb[k + 1])) + f32(B * rgb[k + 2]));
    const wr = (w + 127) >> 7, wc = (h + 127) >> 7;
    if (w !== 64 || h !== 64)
      for (let pass = 0; pass < 2; pass++) {
        for (let y = 0; y < h; y++) box(b, a, y * w, w, 1, wr);
        for (let x = 0; x < w; x++) box(a, b, x, h, w, wc);
      }
    const s = new Float32Array(64 * 64);
    for (let i = 0; i < 64; i++)
      for (let j = 0; j < 64; j++) s[i * 64 + j] = a[Math.trunc((i + 0.5) * h / 64) * w + Math.trunc((j + 0.5) * w / 64)];
    let gradient = 0;
    const step = (u, v) => Math.abs(Math.trunc(f32(f32(f32(u - v) * 100) / 255)));
    for (let i = 0; i < 64; i++)
      for (let j = 0; j < 64; j++) {
        if (i < 63) gradient += step(s[i * 64 + j], s[(i + 1) * 64 + j]);
        if (j < 63) gradient += step(s[i * 64 + j], s[i * 64 + j + 1]);
      }
    const quality = Math.min(100, Math.trunc(gradient / 90));
    const D = dctMatrix(), t = new Float32Array(16 * 64), c = new Float32Array(256);
    for (let i = 0; i < 16; i++)
      for (let j = 0; j < 64; j++) {
        let sum = 0;
        for (let k = 0; k < 64; k++) sum = f32(sum + f32(D[i * 64 + k] * s[k * 64 + j]));
        t[i * 64 + j] = sum;
      }
    for (let i = 0; i < 16; i++)
      for (let j = 0; j < 16; j++) {
        let sum = 0;
        for (let k = 0; k < 64; k++) sum = f32(sum + f32(t[i * 64 + k] * D[j * 64 + k]));
        c[i * 16 + j] = sum;
      }
    const median = Float32Array.from(c).sort()[127];
    let hash = '';
    for (let i = 15; i >= 0; i--) {
      let word = 0;
      for (let j = 0; j < 16; j++) if (c[i * 16 + j] > median) word |= 1 << j;
      hash += word.toString(16).padStart(4, '0');
    }
    return { hash, quality };
  }

  // --- XXH3, 128 bits, seed 0: for files of more than 240 bytes ----------------------------------------------------------

  const SECRET_HEX =
    'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221' +
    'b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8' +
    'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb' +
    '170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e';
  const M = 0xffffffffffffffffn;
  const P32 = [0x9E3779B1n, 0x85EBCA77n, 0xC2B2AE3Dn];
  const P64 = [0x9E3779B185EBCA87n, 0xC2B2AE3D27D4EB4Fn, 0x165667B19E3779F9n, 0x85EBCA77C2B2AE63n, 0x27D4EB2F165667C5n];

  function xxh128(bytes) {
    const n = bytes.length;
    if (n <= 240) return '';                    // no real picture is that small; the short forms are other functions
    const secret = new DataView(Uint8Array.from(SECRET_HEX.match(/../g), x => parseInt(x, 16)).buffer);
    const data = new DataView(bytes.buffer, bytes.byteOffset, n);
    const acc = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]];
    const accumulate = (at, key) => {
      for (let i = 0; i < 8; i++) {
        const value = data.getBigUint64(at + 8 * i, true), mixed = value ^ secret.getBigUint64(key + 8 * i, true);
        acc[i ^ 1] = (acc[i ^ 1] + value) & M;
        acc[i] = (acc[i] + (mixed & 0xffffffffn) * (mixed >> 32n)) & M;
      }
    };
    const blocks = Math.floor((n - 1) / 1024);
    for (let b = 0; b < blocks; b++) {
      for (let s = 0; s < 16; s++) accumulate(b * 1024 + s * 64, s * 8);
      for (let i = 0; i < 8; i++)
        acc[i] = ((acc[i] ^ (acc[i] >> 47n) ^ secret.getBigUint64(128 + 8 * i, true)) * P32[0]) & M;
    }
    const stripes = Math.floor((n - 1 - blocks * 1024) / 64);
    for (let s = 0; s < stripes; s++) accumulate(blocks * 1024 + s * 64, s * 8);
    accumulate(n - 64, 192 - 64 - 7);
    const merge = (key, start) => {
      let sum = start;
      for (let i = 0; i < 4; i++) {
        const product = (acc[2 * i] ^ secret.getBigUint64(key + 16 * i, true)) * (acc[2 * i + 1] ^ secret.getBigUint64(key + 16 * i + 8, true));
        sum += (product & M) ^ (product >> 64n);
      }
      sum &= M;
      sum ^= sum >> 37n;
      sum = (sum * 0x165667919E3779F9n) & M;
      return sum ^ (sum >> 32n);
    };
    const length = BigInt(n), low = merge(11, (length * P64[0]) & M), high = merge(192 - 64 - 11, ~(length * P64[1]) & M);
    return high.toString(16).padStart(16, '0') + low.toString(16).padStart(16, '0');
  }

  // --- scores -------------------------------------------------------------------------------------------------------------

  // softmax(z / T) from softmax(z).
  function withTemperature(p, T) {
    if (!T || T === 1) return Array.from(p);
    const z = Array.from(p, v => Math.log(Math.max(v, 1e-30)) / T), top = Math.max(...z), e = z.map(v => Math.exp(v - top));
    const sum = e.reduce((a, v) => a + v, 0);
    return e.map(v => v / sum);
  }

  // One field of a winnow TSV file.
  const tsv = s => String(s).replace(/[\\\t\n\r]/g, c => ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[c]);

  const api = { resize, rgbOf, pdq, xxh128, withTemperature, tsv };
  if (typeof module !== 'undefined' && module.exports) module.exports = api;
  else root.picture = api;
})(typeof self !== 'undefined' ? self : this);

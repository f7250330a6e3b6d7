/*
 * turn.js: what the browser does not do by itself when it opens a picture: EXIF orientation by Pillow's rule (a model says
 * "orientation": "pillow"), a later frame of an animation ("frame": 3), and the name of a file's format for messages.
 * docs/preprocessing.md has the rules; lib/image/exif.c and png_decode.c are the same in the programs.
 */
'use strict';
(function (root) {
  const word = (b, at) => String.fromCharCode(...b.subarray(at, at + 4));
  const view = b => new DataView(b.buffer, b.byteOffset, b.byteLength);
  const starts = (b, text) => b.length >= text.length && [...text].every((c, i) => b[i] === c.charCodeAt(0));
  const HEIC = ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx'];

  // jpeg, png, gif, webp, avif, heic, jxl, tiff, or null.
  function kindOf(b) {
    if (starts(b, '\xFF\xD8\xFF')) return 'jpeg';
    if (starts(b, '\x89PNG\r\n\x1A\n')) return 'png';
    if (starts(b, 'GIF8')) return 'gif';
    if (starts(b, 'RIFF') && word(b, 8) === 'WEBP') return 'webp';
    if (starts(b, '\xFF\x0A') || starts(b, '\0\0\0\x0CJXL ')) return 'jxl';
    if (starts(b, 'II*\0') || starts(b, 'MM\0*')) return 'tiff';
    if (b.length < 16 || word(b, 4) !== 'ftyp') return null;
    const brands = [word(b, 8)], end = Math.min(b.length, view(b).getUint32(0));
    for (let at = 16; at + 4 <= end; at += 4) brands.push(word(b, at));
    if (brands[0] === 'avif' || brands[0] === 'avis') return 'avif';
    if (HEIC.includes(brands[0])) return 'heic';
    if (!['mif1', 'msf1', 'mif2', 'miaf'].includes(brands[0])) return null;
    return brands.some(x => x === 'avif' || x === 'avis') ? 'avif' : 'heic';
  }

  // --- orientation ----------------------------------------------------------------------------------------------------------

  // The first value of the entry at `at`, of any type that has numbers; 0 for another.
  function numberOf(v, at, little) {
    const type = v.getUint16(at + 2, little), direct = at + 8;
    if (v.getUint32(at + 4, little) < 1) return 0;
    const far = v.getUint32(direct, little), fits = far + 8 <= v.byteLength;
    switch (type) {
    case 3: return v.getUint16(direct, little);
    case 4: case 13: return far;
    case 5: return fits && v.getUint32(far, little) / v.getUint32(far + 4, little);
    case 6: return v.getInt8(direct);
    case 8: return v.getInt16(direct, little);
    case 9: return v.getInt32(direct, little);
    case 10: return fits && v.getInt32(far, little) / v.getInt32(far + 4, little);
    case 11: return v.getFloat32(direct, little);
    case 12: return fits && v.getFloat64(far, little);
    case 16: return fits && Number(v.getBigUint64(far, little));
    default: return 0;
    }
  }

  function orientationOfTiff(b) {
    if (starts(b, 'Exif\0\0')) b = b.subarray(6);
    if (b.length < 8 || !(starts(b, 'II') || starts(b, 'MM'))) return 1;
    const v = view(b), little = b[0] === 73, at = v.getUint32(4, little), magic = v.getUint16(2, little);
    if ((magic !== 42 && magic !== 43) || at > b.length - 2) return 1;
    const n = Math.min(v.getUint16(at, little), Math.floor((b.length - at - 2) / 12));
    let found = 1;
    for (let i = 0; i < n; i++) {
      const entry = at + 2 + 12 * i;
      if (v.getUint16(entry, little) !== 0x0112) continue;
      const value = numberOf(v, entry, little);
      found = Number.isInteger(value) && value >= 1 && value <= 8 ? value : 1;
    }
    return found;
  }

  // Calls each(marker, data) for every segment before the first scan; data lies in b.
  function segments(b, each) {
    for (let at = 2; at + 4 <= b.length;) {
      const marker = b[at + 1];
      if (b[at] !== 0xFF || marker === 0xFF) at++;
      else if (marker === 0xDA || marker === 0xD9) break;
      else if (marker < 2 || (marker >= 0xD0 && marker <= 0xD8)) at += 2;
      else {
        const length = Math.max(2, view(b).getUint16(at + 2));
        each(marker, b.subarray(at + 4, at + 2 + length));
        at += 2 + length;
      }
    }
  }

  // Calls each(type, data, whole) for every chunk up to IEND.
  function chunks(b, each) {
    for (let at = 8; at + 12 <= b.length;) {
      const length = view(b).getUint32(at), type = word(b, at + 4);
      if (length > b.length - at - 12) break;
      each(type, b.subarray(at + 8, at + 8 + length), b.subarray(at, at + 12 + length));
      if (type === 'IEND') break;
      at += 12 + length;
    }
  }

  function orientationOfJpeg(b) {
    let first = 0;
    segments(b, (marker, data) => { if (marker === 0xE1 && !first && starts(data, 'Exif\0')) first = orientationOfTiff(data); });
    return first || 1;
  }

  // The file without what makes a browser turn it: createImageBitmap cannot be told to leave a picture as it is stored.
  function unturned(b) {
    if (kindOf(b) === 'jpeg') {
      const copy = b.slice();
      segments(copy, (marker, data) => { if (marker === 0xE1 && starts(data, 'Exif\0')) data[0] = 88; });
      return copy;
    }
    if (kindOf(b) !== 'png') return b;
    const kept = [];
    let end = 8;
    chunks(b, (type, data, whole) => {
      end = whole.byteOffset - b.byteOffset + whole.length;
      if (type !== 'eXIf') kept.push(whole);
    });
    const out = new Uint8Array(8 + kept.reduce((n, c) => n + c.length, 0) + b.length - end);
    out.set(b.subarray(0, 8));
    let at = 8;
    for (const part of [...kept, b.subarray(end)]) { out.set(part, at); at += part.length; }
    return out;
  }

  // ImageMagick keeps EXIF in a text chunk: "\nexif\n", a length, and hexadecimal digits.
  async function orientationOfText(data, packed) {
    if (packed) {
      const parts = [], from = new Blob([data.subarray(1)]).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
      try {
        for (let r, n = 0; n < 65536 && !(r = await from.read()).done; n += r.value.length) parts.push(r.value);
      } catch (e) { /* what came before an end that is missing */ }
      data = new Uint8Array(await new Blob(parts).arrayBuffer());
    }
    const digits = new TextDecoder('latin1').decode(data).split('\n').slice(3).join('').match(/^([0-9a-f]{2})*/i)[0];
    return orientationOfTiff(Uint8Array.from(digits.match(/../g) || [], x => parseInt(x, 16)));
  }

  async function orientationOfPng(b) {
    let exif = 0, text = null;
    chunks(b, (type, data) => {
      if (type === 'eXIf') exif = orientationOfTiff(data);
      else if (!text && (type === 'zTXt' || type === 'tEXt') && starts(data, 'Raw profile type exif\0')) text = [data.subarray(22), type === 'zTXt'];
    });
    return exif || (text ? orientationOfText(...text) : 1);
  }

  function orientationOfWebp(b) {
    for (let at = 12; at + 8 <= b.length;) {
      const length = view(b).getUint32(at + 4, true);
      if (word(b, at) === 'EXIF') return orientationOfTiff(b.subarray(at + 8, at + 8 + length));
      at += 8 + length + (length & 1);
    }
    return 1;
  }

  // 1 to 8 by Pillow's rule; 0 for the formats in which the browser's own way is the only one.
  async function pillowOrientation(b) {
    switch (kindOf(b)) {
    case 'jpeg': return orientationOfJpeg(b);
    case 'png': return orientationOfPng(b);
    case 'webp': return orientationOfWebp(b);
    default: return 0;
    }
  }

  // Sets the transform with which a picture of width x height is drawn turned.
  function turn(context, orientation, width, height) {
    const by = [[1, 0, 0, 1, 0, 0], [-1, 0, 0, 1, width, 0], [-1, 0, 0, -1, width, height], [1, 0, 0, -1, 0, height],
                [0, 1, 1, 0, 0, 0], [0, 1, -1, 0, height, 0], [0, -1, -1, 0, height, width], [0, -1, 1, 0, 0, width]][orientation - 1];
    context.setTransform(...by);
  }

  // --- frames ---------------------------------------------------------------------------------------------------------------

  // What the header of a JPEG XL says of animation (ISO 18181-1, SizeHeader and ImageMetadata).
  function jxlAnimated(b) {
    let at = 0;
    if (b[0] === 0) {                 // boxes: jxlc, or jxlp with a number first
      while (at + 8 <= b.length && !/^jxl[cp]$/.test(word(b, at + 4))) {
        const length = view(b).getUint32(at);
        if (length < 8) return false;
        at += length;
      }
      at += word(b, at + 4) === 'jxlp' ? 12 : 8;
    }
    let bit = 8 * (at + 2);
    const bits = n => { let v = 0; for (let i = 0; i < n; i++, bit++) v += ((b[bit >> 3] >> (bit & 7)) & 1) * 2 ** i; return v; };
    const size = () => {
      const small = bits(1), side = () => bits(small ? 5 : [9, 13, 18, 30][bits(2)]);
      side();
      if (bits(3) === 0) side();
    };
    size();
    if (bits(1) || !bits(1)) return false;      // all as usual; no extra fields
    bits(3);                                    // orientation
    if (bits(1)) size();
    return bits(1) === 1 || bits(1) === 1;      // a preview is not read further
  }

  function animated(b) {
    switch (kindOf(b)) {
    case 'png': for (let at = 8; at + 12 <= b.length && word(b, at + 4) !== 'IDAT'; at += 12 + view(b).getUint32(at)) if (word(b, at + 4) === 'acTL') return true; return false;
    case 'webp': return word(b, 12) === 'VP8X' && (b[20] & 2) !== 0;
    case 'gif': {
      let at = 13 + (b[10] & 128 ? 3 << (b[10] & 7) + 1 : 0), frames = 0;
      while (at < b.length && (b[at] === 0x21 || b[at] === 0x2C)) {
        if (b[at] === 0x2C && ++frames > 1) return true;
        at += b[at] === 0x2C ? 10 + (b[at + 9] & 128 ? 3 << (b[at + 9] & 7) + 1 : 0) + 1 : 2;
        while (at < b.length && b[at]) at += 1 + b[at];
        at++;
      }
      return false;
    }
    case 'avif': return word(b, 8) === 'avis';
    case 'jxl': return jxlAnimated(b);
    default: return false;
    }
  }

  // Frame n (from 1) of an animation, or its last one, as something that can be drawn; null for what is not animated.
  async function frameOf(b, n, colorSpaceConversion) {
    if (!animated(b)) return null;
    const type = 'image/' + kindOf(b);
    // Chromium 156 cannot be trusted with JPEG XL here.
    if (type === 'image/jxl') throw new Error('the model looks at frame ' + n + ' of animations, and of a JPEG XL this page sees only the first: use classify');
    if (!root.ImageDecoder || !await ImageDecoder.isTypeSupported(type))
      throw new Error('the model looks at frame ' + n + ' of animations, and this browser gives only the first: use classify');
    const decoder = new ImageDecoder({ data: b, type, colorSpaceConversion });
    try {
      await decoder.tracks.ready;
      await decoder.completed;
      let most = decoder.tracks.selectedTrack.frameCount, least = 0, best = null;
      if (most < 2) return null;
      // Nearly always the first try is the answer. A header that promises more frames than there are is halved.
      for (let i = Math.min(n, most) - 1; least < most; i = (least + most) >> 1) {
        try {
          const { image } = await decoder.decode({ frameIndex: i });
          if (best) best.close();
          best = image;
          least = i + 1;
          if (least === n) break;
        } catch (e) {
          if (i === 0) throw e;
          most = i;
        }
      }
      return best;
    } finally {
      decoder.close();
    }
  }

  Object.assign(root, { pictureKind: kindOf, pillowOrientation, unturnedPicture: unturned, turnPicture: turn, pictureFrame: frameOf });
})(self);

/*
 * open.js: a file's pixels as winnow's programs see them: orientation applied, colour profile ignored, transparent parts on
 * the model's background. createImageBitmap refuses some files whose pixels are all there, because their end is missing;
 * the programs take them, so here the end is put right and the file is tried again.
 */
'use strict';
(function (root) {
  const MAX_PIXELS = 50e6;                    // 200 MB of RGBA: what a phone can still hold
  const IEND = [0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130];
  const word = (b, at) => String.fromCharCode(...b.subarray(at, at + 4));
  const be32 = (b, at) => ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0;
  const le32 = (b, at) => ((b[at + 3] << 24) | (b[at + 2] << 16) | (b[at + 1] << 8) | b[at]) >>> 0;
  const join = (b, end) => { const out = new Uint8Array(b.length + end.length); out.set(b); out.set(end, b.length); return out; };

  // PNG: whole chunks with data and no IEND.
  function closePng(b) {
    let at = 8, data = false;
    while (at + 12 <= b.length && at + 12 + be32(b, at) <= b.length) {
      if (word(b, at + 4) === 'IEND') return null;
      data = data || word(b, at + 4) === 'IDAT';
      at += 12 + be32(b, at);
    }
    return data ? join(b.subarray(0, at), IEND) : null;
  }

  // GIF: an end behind a whole sub-block of a frame, or behind a frame.
  function closeGif(b) {
    let at = 13 + (b[10] & 128 ? 3 << (b[10] & 7) + 1 : 0), frames = 0;
    while (at < b.length && (b[at] === 0x21 || b[at] === 0x2C)) {
      const frame = b[at] === 0x2C;
      at += frame ? 10 + (b[at + 9] & 128 ? 3 << (b[at + 9] & 7) + 1 : 0) + 1 : 2;
      while (at < b.length && b[at]) at += 1 + b[at];
      if (at > b.length) return null;
      if (at === b.length) return frame || frames ? join(b, [0, 0x3B]) : null;
      if (frame) frames++;
      at++;
    }
    return frames && at === b.length ? join(b, [0x3B]) : null;
  }

  // WebP: whole chunks with a frame, then a part of one, or less than the header promises.
  function closeWebp(b) {
    let at = 12, frames = 0;
    while (at + 8 <= b.length && at + 8 + le32(b, at + 4) <= b.length) {
      if (['VP8 ', 'VP8L', 'ANMF'].includes(word(b, at))) frames++;
      at += 8 + le32(b, at + 4) + (le32(b, at + 4) & 1);
    }
    if (!frames) return null;
    const out = new Uint8Array(at);
    out.set(b.subarray(0, Math.min(at, b.length)));
    new DataView(out.buffer).setUint32(4, at - 8, true);
    return out;
  }

  // The file with its end put right, or null where that is not what is wrong.
  function close(b) {
    if (b.length < 20) return null;
    if (b[0] === 0xFF && b[1] === 0xD8) return join(b, [0xFF, 0xD9]);
    if (word(b, 0) === '\x89PNG') return closePng(b);
    if (word(b, 0) === 'GIF8') return closeGif(b);
    return word(b, 0) === 'RIFF' && word(b, 8) === 'WEBP' ? closeWebp(b) : null;
  }

  const REASONS = {
    heic: 'it is a HEIC picture, which this browser cannot open: save it as JPEG, or use classify',
    jxl: 'it is a JPEG XL picture, which this browser cannot open: save it as PNG, or use classify',
    avif: 'it is an AVIF picture that this browser cannot open',
    tiff: 'it is a TIFF, which browsers do not open',
  };

  async function bitmapOf(bytes, how) {
    try {
      return await createImageBitmap(new Blob([bytes]), how);
    } catch (refused) {
      const closed = close(bytes);
      try {
        if (closed) return await createImageBitmap(new Blob([closed]), how);
      } catch (e) { /* the first answer counts */ }
      throw REASONS[pictureKind(bytes)] ? new Error(REASONS[pictureKind(bytes)]) : refused;
    }
  }

  // rules: what the model records: background, a colour (white); color, 'srgb' to convert by the file's profile; orientation,
  // 'pillow' or 'none' instead of the browser's own; frame, of animations, from 1.
  async function openPicture(blob, rules) {
    const { background = '#fff', color, orientation, frame = 1 } = rules || {};
    let bytes = new Uint8Array(await blob.arrayBuffer());
    const colorSpaceConversion = color === 'srgb' ? 'default' : 'none';
    const own = orientation === 'none' ? 1 : orientation === 'pillow' ? await pillowOrientation(bytes) : 0;
    if (own) bytes = unturnedPicture(bytes);
    const later = frame > 1 ? await pictureFrame(bytes, frame, colorSpaceConversion) : null;
    const bitmap = later || await bitmapOf(bytes, { imageOrientation: 'from-image', colorSpaceConversion, premultiplyAlpha: 'default' });
    try {
      const width = later ? later.displayWidth : bitmap.width, height = later ? later.displayHeight : bitmap.height;
      if (width * height > MAX_PIXELS) throw new Error('it has more than 50 million pixels');
      const canvas = document.createElement('canvas');
      canvas.width = own > 4 ? height : width;
      canvas.height = own > 4 ? width : height;
      const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
      context.fillStyle = background;
      context.fillRect(0, 0, canvas.width, canvas.height);
      if (own) turnPicture(context, own, width, height);
      context.drawImage(bitmap, 0, 0);
      return { canvas, data: context.getImageData(0, 0, canvas.width, canvas.height) };
    } finally {
      bitmap.close();
    }
  }

  root.openPicture = openPicture;
})(self);

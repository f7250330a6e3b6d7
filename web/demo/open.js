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

  async function bitmapOf(blob, srgb) {
    const how = { imageOrientation: 'from-image', colorSpaceConversion: srgb ? 'default' : 'none', premultiplyAlpha: 'default' };
    try {
      return await createImageBitmap(blob, how);
    } catch (refused) {
      const closed = close(new Uint8Array(await blob.arrayBuffer()));
      if (!closed) throw refused;
      return createImageBitmap(new Blob([closed]), how);
    }
  }

  // background: a colour, white by default; srgb: convert by the file's profile.
  async function openPicture(blob, background, srgb) {
    const bitmap = await bitmapOf(blob, srgb);
    try {
      if (bitmap.width * bitmap.height > MAX_PIXELS) throw new Error('it has more than 50 million pixels');
      const canvas = document.createElement('canvas');
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      const context = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
      context.fillStyle = background || '#fff';
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(bitmap, 0, 0);
      return { canvas, data: context.getImageData(0, 0, canvas.width, canvas.height) };
    } finally {
      bitmap.close();
    }
  }

  root.openPicture = openPicture;
})(self);

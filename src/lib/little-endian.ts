// Numbers of files, which are little-endian, from their bytes at any alignment.

export const littleEndian = /* @__PURE__ */ new Uint8Array(/* @__PURE__ */ Uint16Array.of(1).buffer)[0] === 1;

// Not slice(), which of a Buffer of Node shares its memory.
const copyOf = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

/** 16-bit numbers, on memory of their own. */
export function wordsOf(given: Uint8Array): Uint16Array {
  const { buffer, length } = copyOf(given);
  if (littleEndian) return new Uint16Array(buffer);
  const view = new DataView(buffer);
  return Uint16Array.from({ length: length / 2 }, (_, i) => view.getUint16(2 * i, true));
}

/** float32, on memory of their own. */
export function floatsOf(given: Uint8Array): Float32Array {
  const { buffer, length } = copyOf(given);
  if (littleEndian) return new Float32Array(buffer);
  const view = new DataView(buffer);
  return Float32Array.from({ length: length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

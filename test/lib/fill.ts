type Numbers = Float32Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Uint32Array;

/** Sets every element to what `value` says of its index, in order. `from` of typed arrays takes ten times as long for it. */
export function filled<T extends Numbers>(array: T, value: (i: number) => number): T {
  for (let i = 0; i < array.length; i++) array[i] = value(i);
  return array;
}

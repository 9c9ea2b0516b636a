// Typed arrays as memory has them. What an array says of itself can be overridden: a subclass may lie about its length, an
// own property hides `buffer`, and `instanceof` knows no array of another realm (an iframe, a vm context). The getters of
// %TypedArray%.prototype and DataView.prototype read the object's internal slots and cannot be talked out of it.

interface Arrays {
  readonly Float16Array: Float16ArrayLike;
  readonly Float32Array: Float32Array;
  readonly Float64Array: Float64Array;
  readonly Int8Array: Int8Array;
  readonly Int16Array: Int16Array;
  readonly Int32Array: Int32Array;
  readonly Uint8Array: Uint8Array;
  readonly Uint16Array: Uint16Array;
  readonly Uint32Array: Uint32Array;
}

/** What arrays are called that this package reads. */
export type ArrayKind = keyof Arrays;
export type ArrayOf<K extends ArrayKind> = Arrays[K];

/** A Float16Array, where the runtime has them (ES2025): the type is spelt out for compilers whose library has not. */
export interface Float16ArrayLike extends ArrayBufferView {
  readonly [Symbol.toStringTag]: "Float16Array";
  readonly length: number;
  readonly [index: number]: number;
}

type View = ArrayBufferView;

function getter<T>(prototype: object, name: PropertyKey): (value: unknown) => T {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name) as { get: () => T };
  return (value) => Reflect.apply(get, value, []);
}

const typed = /* @__PURE__ */ Object.getPrototypeOf(/* @__PURE__ */ Object.getPrototypeOf(new Uint8Array()));
const tagOf = /* @__PURE__ */ getter<string | undefined>(typed, Symbol.toStringTag);
const typedBuffer = /* @__PURE__ */ getter<ArrayBufferLike>(typed, "buffer");
const typedOffset = /* @__PURE__ */ getter<number>(typed, "byteOffset");
const typedBytes = /* @__PURE__ */ getter<number>(typed, "byteLength");
const typedLength = /* @__PURE__ */ getter<number>(typed, "length");
const dataBuffer = /* @__PURE__ */ getter<ArrayBufferLike>(DataView.prototype, "buffer");
const dataOffset = /* @__PURE__ */ getter<number>(DataView.prototype, "byteOffset");
const dataBytes = /* @__PURE__ */ getter<number>(DataView.prototype, "byteLength");
const bufferBytes = /* @__PURE__ */ getter<number>(ArrayBuffer.prototype, "byteLength");
const typedKeys = typed.keys as () => unknown;

/** "Float32Array", …, "DataView", "ArrayBuffer" or "SharedArrayBuffer", of whatever realm and class; else undefined. */
export function kindOf(value: unknown): string | undefined {
  const tag = tagOf(value);
  if (tag !== undefined) return tag;
  if (ArrayBuffer.isView(value)) return "DataView";
  if (typeof value !== "object" || value === null) return undefined;
  if (succeeds(() => bufferBytes(value))) return "ArrayBuffer";
  return isShared(value) ? "SharedArrayBuffer" : undefined;
}

/** Whether a buffer is a SharedArrayBuffer: other threads may change it at any time. */
function isShared(buffer: object): boolean {
  if (typeof SharedArrayBuffer === "undefined") return false;
  return succeeds(() => getter(SharedArrayBuffer.prototype, "byteLength")(buffer));
}

function succeeds(body: () => unknown): boolean {
  try {
    body();
    return true;
  } catch {
    return false;
  }
}

/** The number of elements (of a DataView: bytes); 0 if the memory is gone. */
export function lengthOf(view: View): number {
  if (tagOf(view) !== undefined) return typedLength(view);
  return isGone(view) ? 0 : dataBytes(view);
}

/** Whether the memory of a view is detached (transferred), or its buffer has become too short for it. */
export function isGone(view: View): boolean {
  // Such an array has no elements, and keys() refuses it before it does anything else.
  if (tagOf(view) !== undefined && typedLength(view) > 0) return false;
  return !succeeds(() => (tagOf(view) !== undefined ? Reflect.apply(typedKeys, view, []) : dataBytes(view)));
}

/** Its bytes: a view of this realm on the same memory, of the length that it has now. The memory must not be gone. */
export function bytesOf(value: View | ArrayBufferLike): Uint8Array {
  if (tagOf(value) !== undefined) return new Uint8Array(typedBuffer(value), typedOffset(value), typedBytes(value));
  if (ArrayBuffer.isView(value)) return new Uint8Array(dataBuffer(value), dataOffset(value), dataBytes(value));
  // The length is given so that the view does not follow a resizable buffer.
  return new Uint8Array(value, 0, new Uint8Array(value).length);
}

/** A view of this realm on the same memory, of the length that it has now. The memory must not be gone. */
export function viewOf<K extends ArrayKind>(value: View, kind: K): ArrayOf<K> {
  return new (classOf(kind))(typedBuffer(value), typedOffset(value), typedLength(value)) as ArrayOf<K>;
}

/** A view of this realm on the same memory and of the same kind, as `viewOf`. */
export function ownView(view: View): View {
  const kind = tagOf(view);
  return kind === undefined ? bytesOf(view) : viewOf(view, kind as ArrayKind);
}

/** Whether other threads may change it. */
export function isSharedView(view: View): boolean {
  const buffer = tagOf(view) !== undefined ? typedBuffer(view) : dataBuffer(view);
  return !succeeds(() => bufferBytes(buffer));
}

/** A copy on memory of its own. The memory must not be gone. */
export function copyView(view: View): View {
  const { buffer } = new Uint8Array(bytesOf(view));
  const kind = tagOf(view);
  return kind === undefined ? new DataView(buffer) : new (classOf(kind))(buffer);
}

function classOf(kind: string): new (buffer: ArrayBufferLike, offset?: number, length?: number) => View {
  return Reflect.get(globalThis, kind);
}

/** Whether views of ours may have memory in common. Two objects may stand for one shared memory: then it is taken for so. */
export function mayOverlap(a: View, b: View): boolean {
  if (a.buffer !== b.buffer && !(isSharedView(a) && isSharedView(b))) return false;
  return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}

/**
 * Whether views of ours have memory in common, both of which the caller gave to be written. Where two objects may stand for
 * one shared memory, it shows in whether a byte of one changes with that of the other, which is then put back.
 */
export function sharesMemory(a: View, b: View): boolean {
  if (!mayOverlap(a, b)) return false;
  if (a.buffer === b.buffer) return true;
  const at = Math.max(a.byteOffset, b.byteOffset);
  const [first, second] = [new Uint8Array(a.buffer, at, 1), new Uint8Array(b.buffer, at, 1)];
  const [was, other] = [first[0] as number, second[0] as number];
  first[0] = was ^ 255;
  const same = second[0] !== other;
  first[0] = was;
  return same;
}

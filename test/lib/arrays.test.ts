// Arrays by their true memory: subclasses that lie, other realms, shared, resizable and detached buffers, Node Buffers.
import vm from "node:vm";
import { bytesOf, copyView, isGone, isSharedView, kindOf, lengthOf } from "../../src/lib/arrays.ts";
import { checkArray, checkFloats, describe } from "../../src/lib/check.ts";
import { equal, is, ok, throwsWith } from "./assert.ts";
import { suite } from "./suite.ts";

const t = suite("arrays");

class Liar extends Float32Array {
  override get length() {
    return 64;
  }
  override get buffer() {
    return new ArrayBuffer(256);
  }
  override get byteOffset() {
    return 4;
  }
}

t("a subclass that lies is what its memory is", () => {
  const liar = new Liar([1, 2, 3]);
  equal([...checkFloats("f: x", liar, 3, "cols 3")], [1, 2, 3]);
  throwsWith(() => checkFloats("f: x", liar, 64, "cols 64"), RangeError, "f: x: expected length 64 (cols 64), got 3");
  const own = Object.defineProperty(new Float32Array(1), "length", { value: 64 });
  throwsWith(() => checkFloats("f: x", own, 64, "cols 64"), RangeError, "got 1");
  is(describe(liar), "Float32Array of length 3");
});

t("an array of another realm is an array", () => {
  const other = vm.runInNewContext("Float32Array.of(1, 2)");
  ok(!(other instanceof Float32Array));
  const view = checkFloats("f: x", other, 2, "cols 2");
  ok(view instanceof Float32Array);
  view[0] = 5;
  is(other[0], 5, "the same memory");
  is(kindOf(vm.runInNewContext("new DataView(new ArrayBuffer(2))")), "DataView");
  is(kindOf(vm.runInNewContext("new ArrayBuffer(2)")), "ArrayBuffer");
  is(kindOf(vm.runInNewContext("new SharedArrayBuffer(2)")), "SharedArrayBuffer");
});

t("what only looks like an array is none", () => {
  for (const value of [
    Object.create(Float32Array.prototype),
    new Proxy(new Float32Array(2), {}),
    { length: 2, 0: 1, 1: 2, [Symbol.toStringTag]: "Float32Array" },
    Float64Array.of(1, 2),
    [1, 2],
    null,
  ]) {
    throwsWith(() => checkFloats("f: x", value, 2, "cols 2"), TypeError, "f: x: expected a Float32Array, got ");
  }
});

t("views of a buffer at an offset, and Buffers of Node", () => {
  const memory = Uint8Array.from({ length: 16 }, (_, i) => i);
  equal([...bytesOf(new DataView(memory.buffer, 3, 4))], [3, 4, 5, 6]);
  equal([...bytesOf(memory.buffer)].length, 16);
  equal([...checkArray("f: b", Buffer.from([1, 2, 3]), ["Uint8Array"])], [1, 2, 3]);
  equal([...(copyView(memory.subarray(2, 4)) as Uint8Array)], [2, 3]);
});

t("detached and out of bounds: an error that names the argument", () => {
  const gone = new Float32Array(4);
  structuredClone(gone, { transfer: [gone.buffer] });
  ok(isGone(gone));
  is(lengthOf(gone), 0);
  throwsWith(
    () => checkFloats("f: x", gone, 0, "none"),
    TypeError,
    "f: x: expected a Float32Array, got a detached Float32Array",
  );
  const buffer = Reflect.construct(ArrayBuffer, [16, { maxByteLength: 32 }]) as ArrayBuffer & {
    resize(n: number): void;
  };
  const fixed = new Float32Array(buffer, 8, 2);
  const tracking = new Float32Array(buffer);
  const data = new DataView(buffer, 8, 8);
  const taken = checkFloats("f: x", tracking, 4, "cols 4");
  buffer.resize(32);
  is(taken.length, 4, "does not follow the buffer");
  is(checkArray("f: x", tracking, ["Float32Array"]).length, 8);
  buffer.resize(8);
  ok(isGone(fixed) && isGone(data));
  throwsWith(() => checkFloats("f: x", fixed, 0, "none"), TypeError, "f: x: expected a Float32Array, got a detached");
  is(describe(data), "a detached DataView");
});

t("shared memory is known as such", () => {
  ok(isSharedView(new Float32Array(new SharedArrayBuffer(8))));
  ok(isSharedView(new DataView(new SharedArrayBuffer(8))));
  ok(!isSharedView(new Float32Array(2)));
  const copy = copyView(new Float32Array(new SharedArrayBuffer(8))) as Float32Array;
  ok(!isSharedView(copy) && copy instanceof Float32Array && copy.length === 2);
});

t("a message does not fail because of what it is about", () => {
  is(
    describe({
      get constructor() {
        throw new Error();
      },
    }),
    "object",
  );
  ok(describe("x".repeat(1e6)).length < 300);
});

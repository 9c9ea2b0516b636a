// The strict reader of safetensors: what the format forbids is refused in words that fit a terminal, what it has is read.

import * as assert from "uvu/assert";
import { memoryTarget, writeGguf, writeSafetensors } from "../../src/files/index.ts";
import { FileError, parseSafetensors } from "../../src/files/safetensors.ts";
import { suite } from "../lib/suite.ts";

const t = suite("safetensors");

/** A file of that header and so many bytes of data. */
function file(header: unknown, bytes: number, buffer = (length: number): ArrayBufferLike => new ArrayBuffer(length)) {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const all = new Uint8Array(buffer(8 + text.length + bytes), 0, 8 + text.length + bytes);
  new DataView(all.buffer).setBigUint64(0, BigInt(text.length), true);
  all.set(text, 8);
  for (let i = 0; i < bytes; i++) all[8 + text.length + i] = i;
  return all;
}

function refused(header: unknown, bytes: number, message: RegExp, what?: string): void {
  assert.throws(
    () => parseSafetensors(file(header, bytes), "f"),
    (error: unknown) => {
      assert.instance(error, FileError, what);
      const text = (error as Error).message;
      assert.match(text, message, what);
      assert.ok(text.startsWith("f: ") && text.length < 300, text);
      assert.not.match(text, /[\p{Cc}\p{Cf}\p{Cs}]/u, what);
      return true;
    },
    what,
  );
}

const entry = (dtype: string, shape: unknown, begin: number, end: number): object => {
  return { dtype, shape, data_offsets: [begin, end] };
};
const w = entry("F32", [2], 0, 8);

t("a name twice is refused at every level", () => {
  const text = JSON.stringify(w);
  refused(`{"a":${text},"a":${text}}`, 8, /^f: header is not valid JSON: a is there twice/);
  refused(`{"a":${text},"\\u0061":${text}}`, 8, /a is there twice/);
  refused(`{"a":{"dtype":"F32","shape":[2],"shape":[1,2],"data_offsets":[0,8]}}`, 8, /shape is there twice/);
  refused(`{"__metadata__":{"k":"1","k":"2"},"a":${text}}`, 8, /k is there twice/);
  refused(`{"__metadata__":{"k":"1"},"__metadata__":{},"a":${text}}`, 8, /__metadata__ is there twice/);
});

t("names that every object has are names like others", () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const text = names.map((name, i) => `"${name}":${JSON.stringify(entry("U8", [1], i, i + 1))}`);
  const { tensors } = parseSafetensors(file(`{${text.join(",")}}`, 4));
  assert.equal([...tensors.keys()], names);
  assert.equal([...(tensors.get("constructor")?.data ?? [])], [1]);
});

t("types of the format are read, and one that is not known is handed on", () => {
  for (const [dtype, shape, bytes] of [
    ["F8_E8M0", [2], 2],
    ["F8_E4M3FNUZ", [2], 2],
    ["F8_E5M2FNUZ", [2], 2],
    ["C64", [2], 16],
    ["F4", [2], 1],
    ["F6_E2M3", [4], 3],
    ["F6_E3M2", [2, 2], 3],
    ["X9", [3], 5],
    ["", [0, 7], 0],
  ] as const) {
    const { tensors } = parseSafetensors(file({ w, s: entry(dtype, shape, 8, 8 + bytes) }, 8 + bytes));
    const tensor = tensors.get("s");
    assert.is(tensor?.dtype, dtype);
    assert.equal(tensor?.shape, shape);
    assert.is(tensor?.data.length, bytes);
    assert.is(tensors.size, 2);
  }
  refused({ w: entry("F4", [3], 0, 2) }, 2, /w: data_offsets: expected whole bytes, not 12 bits/);
  refused({ w: entry("X9", [17], 0, 2) }, 2, /expected a bit or more for each element of X9 \[17\], got 2 bytes/);
  refused({ w: entry("X9", [2 ** 60, 4], 0, 8) }, 8, /shape: expected an array of non-negative integers/);
  refused({ w: entry("X9", [2 ** 50, 2 ** 14], 0, 8) }, 8, /shape: expected less than 2\^64 bits/);
});

t("shapes that overflow are refused, also when a zero comes after", () => {
  const huge = Number.MAX_SAFE_INTEGER;
  refused({ a: entry("F32", [huge, huge, 0], 0, 0) }, 0, /less than 2\^64 bits/);
  refused({ a: entry("F32", [...Array(40).fill(2 ** 52), 0], 0, 0) }, 0, /less than 2\^64 bits/);
  refused({ a: entry("F32", Array(10000).fill(7), 0, 8) }, 8, /10000 in all/);
  refused({ a: entry("F32", [-1], 0, 4) }, 4, /shape: expected an array of non-negative integers, got \[-1\]/);
  refused('{"a":{"dtype":"F32","shape":[-0],"data_offsets":[0,0]}}', 0, /shape: expected/);
  refused('{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,6]}}', 6, /shape: expected/);
  const scalar = parseSafetensors(file({ a: entry("F32", [], 0, 4) }, 4));
  assert.equal(scalar.tensors.get("a")?.shape, []);
});

t("offsets leave no hole and share no byte; their order in the header is free", () => {
  refused({ a: entry("F32", [2], 0, 8), b: entry("F32", [2], 0, 8) }, 8, /b: data_offsets: overlaps/);
  refused({ a: entry("F32", [2], 0, 8), b: entry("F32", [2], 16, 24) }, 24, /b: data_offsets: leaves a hole/);
  refused({ a: entry("F32", [2], 0, 8) }, 9, /expected 8 bytes of data .*, got 9/);
  refused({ a: entry("F32", [2], 0, 8) }, 7, /a: file is truncated: expected data up to byte 8, got 7/);
  refused({ a: entry("F32", [2], 8, 0) }, 8, /expected \[begin, end\] with 0 <= begin <= end/);
  const { tensors } = parseSafetensors(file({ b: entry("U8", [2], 1, 3), a: entry("U8", [1], 0, 1) }, 3));
  assert.equal([...(tensors.get("b")?.data ?? [])], [1, 2]);
});

t("deep, long and strange headers are refused in few words", () => {
  const deep = "[".repeat(1e5) + "]".repeat(1e5);
  for (const text of [
    `{"a":${deep}}`,
    `{"a":{"dtype":"U8","shape":${deep},"data_offsets":[0,64]}}`,
    `{"__metadata__":{"k":${deep}}}`,
    deep.replaceAll("[", '{"a":').replaceAll("]", "}").replace(":}", ":1}"),
  ]) {
    refused(text, 64, /nesting of 64 at most/);
  }
  refused({ a: { dtype: "x".repeat(1e6), shape: [100], data_offsets: [0, 8] } }, 8, /xxx\.\.\./);
  refused({ ["n".repeat(1e6)]: 5 }, 8, /nnn\.\.\.: expected an object, got 5/);
  refused({ "\u001b[2J\u202e": entry("U8", [3], 0, 64) }, 64, /\\u\{1b\}\[2J\\u\{202e\}/);
  refused({ a: entry("\u001b[2J", [300], 0, 8) }, 8, /\\u\{1b\}/);
  refused('{"a\\ud800":1}', 8, /half of a surrogate pair/);
  refused('{"a\u0007":1}', 8, /control character/);
  refused('{"a":1,}', 8, /expected a name at character 7, got "}"/);
  refused('{"a":01}', 8, /expected "," or "}" at character 6, got "1}"/);
  refused('{"a":1} x', 8, /expected the end at character 8/);
  refused('{"a', 8, /has no end/);
  refused("{}", 8, /expected 0 bytes of data/);
  assert.is(parseSafetensors(file("{}      ", 0)).tensors.size, 0);
});

t("a file of another kind is named as what it is", () => {
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  for (const [bytes, message] of [
    [text("<!DOCTYPE html><html></html>"), /not a safetensors file: .*a page of HTML or XML/],
    [text('{"error":"Repository not found"}'), /an error message of a server: {"error":"Repository not found"}/],
    [text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), /a pointer of Git LFS/],
    [new Uint8Array(0), /an empty file/],
    [text("GGUF...."), /got a GGUF file/],
    [text("PK\u0003\u0004...."), /got a ZIP archive/],
    [text("hello, world"), /got a text that begins by "hello, world"/],
    [Uint8Array.of(0x93, 1, 2, 3, 4, 5, 6, 7, 8), /got bytes 93 01 02 03 04 05 06 07 \.\.\./],
    [Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 0x7b), /not a safetensors file/],
    [Uint8Array.of(0, 1, 0, 0, 0, 0, 0, 0, 0x7b), /truncated: expected a header of 256 bytes, got 1/],
  ] as const) {
    assert.throws(
      () => parseSafetensors(bytes, "f"),
      (error: Error) => error instanceof FileError && message.test(error.message) && !/too large/.test(error.message),
      `${message}`,
    );
  }
});

t("bytes in shared and resizable memory, as browsers' TextDecoder takes them", () => {
  const decode = TextDecoder.prototype.decode;
  TextDecoder.prototype.decode = function (input, options) {
    const buffer = ArrayBuffer.isView(input) ? input.buffer : input;
    const resizable = buffer instanceof ArrayBuffer && (buffer as { resizable?: boolean }).resizable;
    if (resizable || !(buffer instanceof ArrayBuffer)) throw new TypeError("the view must not be shared or resizable");
    return decode.call(this, input, options);
  };
  type Resizable = new (length: number, options: { maxByteLength: number }) => ArrayBuffer;
  try {
    for (const buffer of [
      (length: number) => new ArrayBuffer(length),
      (length: number) => new (ArrayBuffer as unknown as Resizable)(length, { maxByteLength: 2 * length }),
      (length: number) => new SharedArrayBuffer(length),
      () => new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }).buffer,
    ]) {
      const { tensors } = parseSafetensors(file({ a: w }, 8, buffer));
      assert.equal([...(tensors.get("a")?.data ?? [])], [0, 1, 2, 3, 4, 5, 6, 7]);
    }
  } finally {
    TextDecoder.prototype.decode = decode;
  }
});

t("arguments of another type are named", () => {
  const bytes = file({}, 0);
  const calls: [RegExp, () => unknown][] = [
    [
      /^parseSafetensors: bytes: expected a Uint8Array, got /,
      () => parseSafetensors([1, 2, 3] as unknown as Uint8Array),
    ],
    [
      /^parseSafetensors: name: expected a string, got /,
      () => parseSafetensors(bytes, { maxHeader: 1 } as unknown as string),
    ],
  ];
  for (const [message, call] of calls) {
    assert.throws(call, (error: unknown) => error instanceof TypeError && message.test(error.message), String(message));
  }
});

t("content without tensors is refused by the writers", async () => {
  for (const [write, name] of [
    [writeGguf, "writeGguf"],
    [writeSafetensors, "writeSafetensors"],
  ] as const) {
    const call = write as (target: unknown, content: unknown) => Promise<void>;
    const error = await call(memoryTarget(), { tensorz: [] }).then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    assert.instance(error, TypeError);
    assert.is(error?.message, `${name}: tensors: expected an array, got undefined`);
  }
});

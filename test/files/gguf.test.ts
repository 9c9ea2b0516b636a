// GGUF: files that must be refused or read, traps that readers of the world fell into, and what writers make, read again.
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { padded } from "../../src/files/gguf.ts";
import {
  FileError,
  type FileTensor,
  type GgufValue,
  memoryTarget,
  openWeights,
  type Source,
  type TensorContent,
  type WeightFile,
  wholeNumber,
  writeGguf,
  writeSafetensors,
} from "../../src/files/index.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const t = suite("gguf");
const rng = random("gguf");

async function refused(
  source: Source,
  message: RegExp,
  what = `${message}`,
  kind: new (message: string) => Error = FileError,
): Promise<void> {
  let error: unknown;
  try {
    await (await openWeights(source, { cache: "none" })).close();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error instanceof kind, `${what}: expected a ${kind.name}, got ${error}`);
  assert.match((error as Error).message, message, what);
  assert.ok((error as Error).message.length < 400, what);
}

interface Hostile {
  readonly name: string;
  readonly base64?: string;
  readonly "llama.cpp": "accepts" | "refuses";
}
const hostile = JSON.parse(readFileSync(new URL("gguf/hostile.json", import.meta.url), "utf8")) as { cases: Hostile[] };

/** Those that llama.cpp takes though the format's page forbids them, or numbers wrap. */
const LENIENT = [
  "one byte too many at the end",
  "bool 2",
  "empty name",
  "0 dimensions",
  "dimension 0",
  "product wraps",
  "key that is no UTF-8",
];

t("hostile files: refused with the place, or read", async () => {
  const stricter: string[] = [];
  for (const { name, base64, "llama.cpp": verdict } of hostile.cases) {
    if (base64 === undefined) continue;
    const bytes = new Uint8Array(Buffer.from(base64, "base64"));
    let got: unknown;
    try {
      await openWeights(bytes);
    } catch (error) {
      got = error;
    }
    if (verdict === "refuses") assert.instance(got, FileError, `${name}: ${got}`);
    else if (got !== undefined) stricter.push(name);
    if (got !== undefined) assert.match((got as Error).message, /^bytes: (byte \d+: |not a )/, name);
  }
  assert.ok(hostile.cases.length > 50);
  for (const name of stricter) {
    const known = LENIENT.includes(name) || /wrap|utf|2\^32/i.test(name);
    assert.ok(known, `${name}: llama.cpp takes it, and no reason is known not to`);
  }
});

/** A file by hand: what no writer would make. */
class Builder {
  readonly #parts: Uint8Array[] = [];
  raw(...bytes: number[]): this {
    this.#parts.push(Uint8Array.from(bytes));
    return this;
  }
  u32(value: number): this {
    return this.raw(...new Uint8Array(Uint32Array.of(value).buffer));
  }
  u64(value: number | bigint): this {
    return this.raw(...new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }
  string(text: string | Uint8Array): this {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    return this.u64(bytes.length).raw(...bytes);
  }
  head(tensors: number, pairs: number): this {
    return this.raw(0x47, 0x47, 0x55, 0x46).u32(3).u64(tensors).u64(pairs);
  }
  tensor(name: string, ne: (number | bigint)[], type: number, offset: number | bigint): this {
    this.string(name).u32(ne.length);
    for (const size of ne) this.u64(size);
    return this.u32(type).u64(offset);
  }
  data(bytes: number): Uint8Array {
    const all = Buffer.concat(this.#parts);
    const out = new Uint8Array(padded(all.length, 32) + bytes);
    out.set(all);
    return out;
  }
}
const build = (): Builder => new Builder();

t("sizes that overflow, one by one and in sum", async () => {
  await refused(
    build()
      .head(1, 0)
      .tensor("a", [4, 2 ** 30 - 1, 2 ** 30 + 1], 0, 0)
      .data(0),
    /"a": file is truncated/,
  );
  await refused(
    build()
      .head(1, 0)
      .tensor("a", [2n ** 32n, 2n ** 32n], 0, 0)
      .data(0),
    /"a": file is truncated/,
  );
  await refused(
    build()
      .head(1, 0)
      .tensor("a", [2n ** 63n], 0, 0)
      .data(0),
    /"a": dimension 0: expected 1 to 2\^53 - 1/,
  );
  await refused(
    build()
      .head(1, 0)
      .tensor("a", [2 ** 53 - 1, 2 ** 53 - 1, 2 ** 53 - 1], 28, 0)
      .data(0),
    /truncated/,
  );
  const two = build()
    .head(2, 0)
    .tensor("a", [8], 0, 0)
    .tensor("b", [2 ** 52], 0, 32)
    .data(64);
  await refused(two, /"b": file is truncated: expected 18014398509481984 bytes of data/);
  await refused(build().head(1, 1).string(Uint8Array.of(0xff)).u32(0).raw(1).data(0), /key of pair 0: expected UTF-8/);
});

t("alignment past 2^31, and a tensor that begins there", async () => {
  assert.is(padded(2147483649, 32), 2147483680);
  const first = 2 ** 31 - 32;
  const header = build().head(2, 0).tensor("a", [first], 24, 0).tensor("b", [64], 24, first).data(0);
  const size = header.length + first + 64;
  let most = 0;
  const source = {
    size,
    async read(begin: number, end: number): Promise<Uint8Array> {
      most = Math.max(most, end - begin);
      const bytes = new Uint8Array(end - begin);
      bytes.set(header.subarray(begin, end));
      for (let at = Math.max(begin, size - 64); at < end; at++) bytes[at - begin] = at - (size - 64);
      return bytes;
    },
  };
  const file = await openWeights(source);
  const b = file.tensors.get("b");
  assert.equal(
    [...(await (b as FileTensor).read())],
    Array.from({ length: 64 }, (_, i) => i),
  );
  assert.ok(most < 1 << 20, `${most} bytes read at once`);
});

/** What a file says, in a form that can be compared. */
async function contentOf(file: WeightFile): Promise<unknown> {
  const tensors = [];
  for (const { name, dtype, shape, read } of file.tensors.values()) {
    tensors.push([
      name,
      dtype,
      shape,
      createHash("sha256")
        .update(await read())
        .digest("hex"),
    ]);
  }
  await file.close();
  return [file.container, [...file.metadata], tensors];
}

const pairs = (): Map<string, GgufValue> =>
  new Map<string, GgufValue>([
    ["general.architecture", { type: "string", value: "llama" }],
    ["u8", { type: "u8", value: 200 }],
    ["i8", { type: "i8", value: -128 }],
    ["u16", { type: "u16", value: 65535 }],
    ["i16", { type: "i16", value: -32768 }],
    ["u32", { type: "u32", value: 4294967295 }],
    ["i32", { type: "i32", value: -2147483648 }],
    ["f32", { type: "f32", value: Math.fround(0.1) }],
    ["f64", { type: "f64", value: 0.1 }],
    ["u64", { type: "u64", value: 2n ** 64n - 1n }],
    ["i64", { type: "i64", value: -(2n ** 63n) }],
    ["bool", { type: "bool", value: true }],
    ["text", { type: "string", value: "\ufeffé😀 and more than thirty-two bytes of it" }],
    ["no text", { type: "string", value: Uint8Array.of(0xff, 0xfe, 0) }],
    ["u8s", { type: "array", of: "u8", value: Uint8Array.of(0, 180, 2) }],
    ["bools", { type: "array", of: "bool", value: Uint8Array.of(0, 1, 1) }],
    ["i16s", { type: "array", of: "i16", value: Int16Array.of(-5, 5) }],
    ["f32s", { type: "array", of: "f32", value: Float32Array.of(1.5, -0) }],
    ["u64s", { type: "array", of: "u64", value: BigUint64Array.of(1n, 2n ** 63n) }],
    ["none", { type: "array", of: "i32", value: new Int32Array(0) }],
    ["tokens", { type: "array", of: "string", value: ["a", "", Uint8Array.of(0xc3), "ü"] }],
  ]);

const randomBytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => rng.int(0, 255));
const tensors = (): TensorContent[] => [
  { name: "token_embd.weight", dtype: "F32", shape: [3, 5], data: randomBytes(60) },
  { name: "blk.0.attn_q.weight", dtype: "Q4_K", shape: [2, 256], data: randomBytes(288) },
  { name: "blk.0.ffn_up_exps.weight", dtype: "F16", shape: [2, 3, 7], data: randomBytes(84) },
  { name: "i2s", dtype: "I2_S", shape: [4, 128], data: randomBytes(160) },
  { name: "x".repeat(63), dtype: "I8", shape: [1], data: randomBytes(1) },
];

async function written(content: Parameters<typeof writeGguf>[1]): Promise<Uint8Array> {
  const target = memoryTarget();
  await writeGguf(target, content);
  return target.bytes();
}

t("what is written is read again, of both versions and byte orders; a copy has the same bytes", async () => {
  const content = { metadata: pairs(), tensors: tensors() };
  const expected = await contentOf(await openWeights(await written(content)));
  for (const version of [2, 3] as const) {
    for (const byteOrder of ["little", "big"] as const) {
      const bytes = await written({ ...content, version, byteOrder });
      const file = await openWeights(bytes);
      assert.equal(await contentOf(file), expected, `${version}, ${byteOrder}`);
      const { metadata } = file;
      const copy = await written({
        metadata,
        tensors: [...file.tensors.values()].map((tensor) => ({ ...tensor, data: tensor })),
        version,
        byteOrder,
      });
      assert.equal(copy, bytes);
    }
  }
  assert.equal(await openWeights(await written({ metadata: new Map(), tensors: [] })).then((f) => f.tensors.size), 0);
  const wide = new Map<string, GgufValue>([["general.alignment", { type: "u32", value: 4096 }]]);
  const aligned = await openWeights(await written({ metadata: wide, tensors: tensors() }));
  assert.is(aligned.tensors.size, 5);
});

t("the same whatever the source gives at a time", async () => {
  const bytes = await written({ metadata: pairs(), tensors: tensors() });
  const expected = await contentOf(await openWeights(bytes));
  for (const most of [1, 2, 7, 64]) {
    const source = { size: bytes.length, read: async (a: number, b: number) => bytes.slice(a, Math.min(b, a + most)) };
    assert.equal(await contentOf(await openWeights(source)), expected, `${most} bytes`);
  }
  assert.equal(await contentOf(await openWeights(new Blob([bytes as Uint8Array<ArrayBuffer>]))), expected);
  const long = new Map(pairs()).set("long", { type: "string", value: "y".repeat(1 << 20) });
  const big = await openWeights(await written({ metadata: long, tensors: tensors() }));
  assert.is(String(big.metadata.get("long")?.value).length, 1 << 20);
  const moody = { size: bytes.length, read: async () => new Uint8Array(0) };
  await refused(moody, /expected 1 to \d+ bytes at byte 0, got none/);
  await refused(
    { size: 5e6, read: async () => "text" as never },
    /read: expected a promise of a Uint8Array/,
    "text",
    TypeError,
  );
});

t("parts of tensors, of either byte order", async () => {
  for (const byteOrder of ["little", "big"] as const) {
    const file = await openWeights(await written({ metadata: pairs(), tensors: tensors(), byteOrder }));
    for (const tensor of file.tensors.values()) {
      const all = await tensor.read();
      for (let i = 0; i < 10; i++) {
        const begin = rng.int(0, all.length);
        const end = rng.int(begin, all.length);
        assert.equal([...(await tensor.read({ begin, end }))], [...all.subarray(begin, end)]);
      }
      await tensor.read({ begin: 0, end: all.length + 1 }).then(
        () => assert.unreachable(),
        (error) => assert.instance(error, RangeError),
      );
    }
  }
});

t("whole numbers of metadata in any width", () => {
  for (const value of [
    { type: "u32", value: 4096 },
    { type: "u64", value: 4096n },
    { type: "i32", value: 4096 },
    { type: "u16", value: 4096 },
  ] as const) {
    assert.is(wholeNumber(value), 4096);
  }
  assert.is(wholeNumber({ type: "u64", value: 2n ** 53n }), undefined);
  assert.is(wholeNumber({ type: "f32", value: 1.5 }), undefined);
  assert.is(wholeNumber(undefined), undefined);
});

t("the writer refuses what readers would, and leaves nothing behind", async () => {
  const [one] = tensors() as [TensorContent];
  const bad = async (change: Partial<TensorContent>, message: RegExp, more: TensorContent[] = []): Promise<void> => {
    const target = memoryTarget();
    let error: unknown;
    try {
      await writeGguf(target, { metadata: new Map(), tensors: [...more, { ...one, ...change }] });
    } catch (caught) {
      error = caught;
    }
    assert.ok(error instanceof RangeError || error instanceof TypeError, `${message}: ${error}`);
    assert.match((error as Error).message, message);
    assert.is(target.bytes().length, 0);
  };
  await bad({ name: "n".repeat(64) }, /a name of 1 to 63 bytes/);
  await bad({ name: "" }, /a name of 1 to 63 bytes/);
  await bad({}, /a name that is not taken/, [one]);
  await bad({ dtype: "Q4_X" }, /dtype: expected a type of ggml, got "Q4_X"/);
  await bad({ dtype: "Q4_0", shape: [1, 33] }, /columns in multiples of 32/);
  await bad({ shape: [] }, /1 to 4 sizes/);
  await bad({ shape: [3, 0] }, /1 to 4 sizes/);
  await bad({ shape: [3, 6] }, /data: expected 72 bytes, got 60/);
  await bad({ data: () => [new Uint8Array(59)] }, /data: expected 60 bytes, got 59/);
  await bad({ data: () => [new Uint8Array(50), new Uint8Array(11)] }, /data: expected 60 bytes, got 61 or more/);
  for (const [value, message] of [
    [{ type: "u8", value: 256 }, /a number that u8 has, got 256/],
    [{ type: "u64", value: 5 }, /expected a bigint/],
    [{ type: "u32", value: -1 }, /a number that u32 has/],
    [{ type: "array", of: "u8", value: [1] }, /expected a Uint8Array/],
    [{ type: "array", of: "array", value: [] }, /of: expected/],
    [{ type: "string", value: "\ud800" }, /surrogate/],
  ] as const) {
    let error: unknown;
    try {
      await written({ metadata: new Map([["k", value as never]]), tensors: [] });
    } catch (caught) {
      error = caught;
    }
    assert.match(String(error), message);
  }
});

t("paths: renamed once whole; nothing is left of what failed or was stopped", async () => {
  const folder = mkdtempSync(join(tmpdir(), "lowbit-gguf-"));
  try {
    const path = join(folder, "model.gguf");
    const content = { metadata: pairs(), tensors: tensors() };
    let last = 0;
    let total = 0;
    await writeGguf(path, content, {
      onProgress: (done, of) => {
        assert.ok(done > last && done <= of);
        [last, total] = [done, of];
      },
    });
    const bytes = new Uint8Array(readFileSync(path));
    assert.equal(bytes, await written(content));
    assert.equal([last, total], [bytes.length, bytes.length]);
    const failing = (): AsyncIterable<Uint8Array> =>
      (async function* () {
        yield new Uint8Array(1);
        throw new Error("the disk is gone");
      })();
    const stop = new AbortController();
    const stopping = function* (): Generator<Uint8Array> {
      yield new Uint8Array(30);
      stop.abort(new Error("stopped"));
      yield new Uint8Array(30);
    };
    for (const [data, message] of [
      [failing, /the disk is gone/],
      [stopping, /stopped/],
    ] as const) {
      const change = [{ name: "a", dtype: "F32", shape: [15], data }];
      for (const write of [writeGguf, writeSafetensors] as const) {
        let error: unknown;
        try {
          await write(path, { ...content, metadata: new Map(), tensors: change }, { signal: stop.signal });
        } catch (caught) {
          error = caught;
        }
        assert.match(String(error), stop.signal.aborted ? /stopped/ : message);
      }
    }
    assert.equal(readdirSync(folder), ["model.gguf"]);
    assert.equal(new Uint8Array(readFileSync(path)), bytes);
    await refused(join(folder, "none.gguf"), /none\.gguf: there is no such file/);
    await refused(folder, /cannot be read: EISDIR|expected a file/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Parts of a model in the way of llama.cpp's gguf-split. */
async function split(count: number, change: (no: number) => Map<string, GgufValue> = () => new Map()) {
  return Promise.all(
    tensors()
      .slice(0, count)
      .map((tensor, no) => {
        const metadata = new Map<string, GgufValue>([
          ["split.no", { type: "u16", value: no }],
          ["split.count", { type: "u16", value: count }],
          ["split.tensors.count", { type: "i32", value: count }],
          ...(no === 0 ? pairs() : []),
          ...change(no),
        ]);
        return written({ metadata, tensors: [tensor] });
      }),
  );
}

t("split files: in any order, by name, and what does not belong together", async () => {
  const parts = (await split(3)) as [Uint8Array, Uint8Array, Uint8Array];
  const [a, b, c] = parts;
  const expected = await contentOf(await openWeights(parts));
  assert.equal(await contentOf(await openWeights([b, a, c])), expected);
  await refused([b], /parts 1, 3 of 3 are missing/);
  await refused(b, /parts 1, 3 of 3 are missing: expected them in an array/);
  await refused([a, b], /parts 3 of 3 are missing/);
  await refused([a, b, b], /tensor|"split\.no": .* is number 1, too/);
  const [, other] = await split(2);
  await refused([a, other as Uint8Array, c], /"split\.count": expected 3, as .* has, got 2/);
  const many = await split(2, () => new Map([["split.tensors.count", { type: "i32", value: 3 }]]));
  await refused(many, /"split\.tensors\.count": expected 3 tensors in all files, got 2/);
  const wild = await split(1, () => new Map([["split.count", { type: "u32", value: 4e9 }]]));
  await refused(wild, /split\.count|missing/);
  const folder = mkdtempSync(join(tmpdir(), "lowbit-split-"));
  try {
    for (const [no, bytes] of [b, c, a].entries()) writeFileSync(join(folder, `m-0000${no + 1}-of-00003.gguf`), bytes);
    for (const no of [1, 2, 3]) {
      const file = await openWeights(join(folder, `m-0000${no}-of-00003.gguf`));
      assert.equal(await contentOf(file), expected);
      await file.close();
    }
    rmSync(join(folder, "m-00003-of-00003.gguf"));
    await refused(join(folder, "m-00001-of-00003.gguf"), /m-00003-of-00003\.gguf: there is no such file/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const shared = fileURLToPath(new URL("../../../shared/gguf/gguf-archs/", import.meta.url));
if (!existsSync(shared)) t.skip("files that gguf-py and llama.cpp wrote", "skipped: ../shared is absent");
else {
  t("files that gguf-py and llama.cpp wrote: read, and written again to the same bytes", async () => {
    let count = 0;
    for (const name of readdirSync(shared)) {
      if (!name.endsWith(".gguf") || name.includes("split")) continue;
      const bytes = new Uint8Array(readFileSync(join(shared, name)));
      const file = await openWeights(join(shared, name));
      const copy = await written({
        metadata: file.metadata,
        tensors: [...file.tensors.values()].map((tensor) => ({ ...tensor, data: tensor })),
        version: name.includes("v2") ? 2 : 3,
        byteOrder: name.includes("-be") ? "big" : "little",
      });
      assert.is(Buffer.compare(copy, bytes), 0, name);
      await file.close();
      count++;
    }
    assert.ok(count > 20);
    const little = await openWeights(join(shared, "tiny-llama-f16.gguf"));
    const big = await openWeights(join(shared, "tiny-llama-f16-be.gguf"));
    assert.equal(await contentOf(big), await contentOf(little));
    const one = await contentOf(await openWeights(join(shared, "tiny-qwen2-split-00002-of-00003.gguf")));
    const whole = await contentOf(await openWeights(join(shared, "tiny-qwen2-bf16.gguf")));
    assert.equal((one as unknown[])[2], (whole as unknown[])[2]);
  });
}

// Files of safetensors in one piece and in several, found by name, by an index, or given; and mutated files of both kinds.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import * as assert from "uvu/assert";
import {
  FileError,
  folderCache,
  memoryTarget,
  openWeights,
  parseSafetensors,
  type TensorContent,
  type WeightFile,
  writeGguf,
  writeSafetensors,
} from "../../src/files/index.ts";
import { throwsWith } from "../lib/assert.ts";
import { random, seed } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const t = suite("containers");
const rng = random("containers");
const randomBytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => rng.int(0, 255));

const tensors: readonly TensorContent[] = [
  { name: "bytes", dtype: "U8", shape: [5], data: randomBytes(5) },
  { name: "halves", dtype: "BF16", shape: [2, 3], data: randomBytes(12) },
  { name: "fours", dtype: "F4", shape: [2, 8], data: randomBytes(8) },
  { name: "floats", dtype: "F32", shape: [4, 2], data: randomBytes(32) },
  { name: "scalar", dtype: "F64", shape: [], data: randomBytes(8) },
  { name: "none", dtype: "F32", shape: [0, 4], data: new Uint8Array(0) },
  { name: "__proto__", dtype: "I8", shape: [1], data: Uint8Array.of(7) },
];
const metadata = { format: "pt", é: "\u0000\n\u2028" };

const bytesOf = new Map(tensors.map(({ name, data }) => [name, data as Uint8Array]));

async function check(file: WeightFile, what: string): Promise<void> {
  assert.is(file.tensors.size, tensors.length, what);
  for (const { name, dtype, shape } of tensors) {
    const tensor = file.tensors.get(name);
    assert.equal([tensor?.dtype, tensor?.shape], [dtype, shape], `${what}: ${name}`);
    assert.equal([...((await tensor?.read()) ?? [])], [...(bytesOf.get(name) as Uint8Array)], `${what}: ${name}`);
  }
  await file.close();
}

async function fails(work: Promise<unknown>, message: RegExp, kind: new (message: string) => Error = FileError) {
  let error: unknown;
  try {
    await work;
  } catch (caught) {
    error = caught;
  }
  assert.instance(error, kind, `${message}: ${error}`);
  assert.match((error as Error).message, message);
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lowbit-containers-"));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

t("safetensors: what is written is read again, aligned, by the whole and by ranges", async () => {
  const target = memoryTarget();
  await writeSafetensors(target, { metadata, tensors });
  const bytes = target.bytes();
  const file = await openWeights(bytes);
  assert.is(file.container, "safetensors");
  assert.equal(Object.fromEntries([...file.metadata].map(([key, { value }]) => [key, value])), metadata);
  await check(file, "written");
  const whole = parseSafetensors(bytes);
  assert.equal([...whole.metadata], Object.entries(metadata));
  for (const { name, dtype, data } of whole.tensors.values()) {
    assert.equal([...data], [...(bytesOf.get(name) as Uint8Array)]);
    const width = { F64: 8, F32: 4, BF16: 2 }[dtype] ?? 1;
    assert.is(data.byteOffset % width, 0, `${name} is aligned`);
  }
  for (const most of [1, 3, 64]) {
    const source = { size: bytes.length, read: async (a: number, b: number) => bytes.slice(a, Math.min(b, a + most)) };
    await check(await openWeights(source), `${most} bytes at a time`);
  }
});

t("safetensors: the writer refuses what the format forbids", async () => {
  const [first] = tensors as [TensorContent];
  const write = (change: object, more: readonly TensorContent[] = []) =>
    writeSafetensors(memoryTarget(), { tensors: [...more, { ...first, ...change }] });
  await fails(write({}, [first]), /bytes: expected a name that is not taken/, RangeError);
  await fails(write({ name: "__metadata__" }), /expected a name that is not taken/, RangeError);
  await fails(write({ dtype: "Q4_K" }), /dtype: expected a type of the format, got "Q4_K"/, RangeError);
  await fails(write({ dtype: "F4" }), /shape: expected whole bytes/, RangeError);
  await fails(write({ shape: [6] }), /data: expected 6 bytes, got 5/, RangeError);
  await fails(write({ shape: [-1] }), /shape: expected whole sizes/, RangeError);
  await fails(write({ name: "\ud800" }), /surrogate/, RangeError);
  await fails(writeSafetensors(memoryTarget(), { tensors: [] }, { sharedBytes: 5 } as never), /shardBytes/, TypeError);
});

t("several files and an index: found by any of their names, or given", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "model.safetensors");
    await writeSafetensors(path, { metadata, tensors }, { shardBytes: 20 });
    const names = readdirSync(folder).sort();
    assert.ok(names.length > 3 && names.includes("model.safetensors.index.json"), names.join());
    for (const name of names) await check(await openWeights(join(folder, name)), name);
    const blobs = names.map((name) => new File([new Uint8Array(readFileSync(join(folder, name)))], name));
    await check(await openWeights(blobs), "files in an array");
    await check(await openWeights(blobs.filter(({ name }) => !name.endsWith(".json"))), "without the index");
    const shards = names.filter((name) => !name.endsWith(".json"));
    await fails(openWeights(blobs.filter(({ name }) => name !== shards[1])), /expected "model-00002-of-/);
    await fails(openWeights(blobs[0] as File), /cannot be found by name/);
    const last = join(folder, shards.at(-1) as string);
    const kept = readFileSync(last);
    writeFileSync(last, readFileSync(join(folder, shards[0] as string)));
    await fails(openWeights(path.replace(/$/, ".index.json")), /tensor .* is in .*, too/);
    rmSync(last);
    await fails(openWeights(join(folder, shards[0] as string)), /there is no such file/);
    writeFileSync(last, kept);
  });
  await inFolder(async (folder) => {
    const content = {
      metadata: new Map(),
      tensors: tensors.filter(({ dtype }) => dtype === "BF16" || dtype === "F32").slice(0, 2),
    };
    await writeGguf(join(folder, "m.gguf"), content, { shardBytes: 1 });
    assert.equal(readdirSync(folder).sort(), ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]);
    const file = await openWeights(join(folder, "m-00002-of-00002.gguf"));
    assert.equal([...file.tensors.keys()], ["halves", "floats"]);
    await file.close();
    const failing = { ...(content.tensors[1] as TensorContent), data: () => [new Uint8Array(1)] };
    const broken = { ...content, tensors: [content.tensors[0] as TensorContent, failing] };
    await fails(
      writeGguf(join(folder, "x.gguf"), broken, { shardBytes: 1 }),
      /data: expected 32 bytes, got 1/,
      RangeError,
    );
    assert.is(readdirSync(folder).length, 2, "nothing of files that failed");
  });
});

t("an index whose names lead elsewhere opens no file and sends no request", async () => {
  for (const name of [
    "../x.safetensors",
    "/x.safetensors",
    "C:\\x",
    "https://a.b/x",
    "a/../../x",
    "..",
    "",
    5,
    "x\u0000",
  ]) {
    await inFolder(async (folder) => {
      const path = join(folder, "model.safetensors.index.json");
      writeFileSync(path, JSON.stringify({ weight_map: { a: name } }));
      await fails(openWeights(path), /weight_map: "a": expected the name of a file beside it/);
    });
    const asked: string[] = [];
    const fetch = (async (url: URL) => {
      asked.push(url.href);
      const body = JSON.stringify({ weight_map: { a: name } });
      return new Response(body, { headers: { "content-length": String(new TextEncoder().encode(body).length) } });
    }) as unknown as typeof globalThis.fetch;
    const address = "https://example.invalid/m/model.safetensors.index.json?x=1";
    await fails(openWeights(address, { fetch, cache: "none" }), /weight_map/);
    assert.equal(asked, [address]);
  }
  await inFolder(async (folder) => {
    const path = join(folder, "model.safetensors.index.json");
    for (const [text, message] of [
      ["{", /is not valid JSON/],
      ["[]", /expected an object/],
      ['{"weight_map":{}}', /expected at least one tensor/],
      ['{"weight_map":{"a":"x","a":"y"}}', /a is there twice/],
    ] as const) {
      writeFileSync(path, text);
      await fails(openWeights(path), message);
    }
    await writeSafetensors(join(folder, "x.safetensors"), { tensors });
    writeFileSync(path, JSON.stringify({ weight_map: { bytes: "x.safetensors", gone: "x.safetensors" } }));
    await fails(openWeights(path), /weight_map: "gone": expected it in "x\.safetensors", it is in none/);
  });
});

t("progress in bytes, never beyond the whole; a signal ends opening and reading", async () => {
  const target = memoryTarget();
  await writeSafetensors(target, { tensors });
  const seen: [number, number][] = [];
  const file = await openWeights(target.bytes(), { onProgress: (...at) => seen.push(at) });
  for (const tensor of file.tensors.values()) await tensor.read();
  for (const tensor of file.tensors.values()) await tensor.read();
  assert.equal(seen.at(-1), [file.byteLength, file.byteLength]);
  for (const [i, [done, total]] of seen.entries()) assert.ok(done <= total && done >= (seen[i - 1]?.[0] ?? 0));
  const stop = AbortSignal.abort(new Error("stop"));
  await fails(openWeights(target.bytes(), { signal: stop }), /^stop$/, Error);
  await fails(file.tensors.get("floats")?.read({ signal: stop }) as Promise<unknown>, /^stop$/, Error);
  await fails(openWeights(target.bytes(), { onProgres: () => {} } as never), /did you mean "onProgress"/, TypeError);
  await fails(openWeights(5 as never), /source: expected a path, a URL/, TypeError);
  await fails(openWeights([]), /source: expected at least one file/, RangeError);
});

/** How many mutated files are read; LOWBIT_FUZZ=100000 for a long search. */
const RUNS = Number(process.env.LOWBIT_FUZZ ?? 2000);

t(`${RUNS} mutated files: read, or refused in one line; nothing else`, async () => {
  const gguf = memoryTarget();
  const kept = new Map([
    ["general.architecture", { type: "string", value: "llama" } as const],
    ["tokens", { type: "array", of: "string", value: ["a", "bc"] } as const],
    ["numbers", { type: "array", of: "u16", value: Uint16Array.of(1, 2) } as const],
    ["general.alignment", { type: "u32", value: 32 } as const],
  ]);
  await writeGguf(gguf, { metadata: kept, tensors: tensors.slice(1, 2) });
  const safetensors = memoryTarget();
  await writeSafetensors(safetensors, { metadata, tensors });
  const files = [gguf.bytes(), safetensors.bytes()];
  const edits = fc.array(
    fc.oneof(
      // Bits of a byte, eight bytes that may be a length, a run that is cut out, a run that is doubled, the end cut off.
      fc.record({ kind: fc.constant("bits" as const), at: fc.nat(600), value: fc.integer({ min: 1, max: 255 }) }),
      fc.record({
        kind: fc.constant("word" as const),
        at: fc.nat(600),
        value: fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 40n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
      }),
      fc.record({ kind: fc.constant("cut" as const), at: fc.nat(600), value: fc.integer({ min: 1, max: 64 }) }),
      fc.record({ kind: fc.constant("twice" as const), at: fc.nat(600), value: fc.integer({ min: 1, max: 64 }) }),
      fc.record({ kind: fc.constant("end" as const), at: fc.nat(900), value: fc.constant(0) }),
    ),
    { minLength: 1, maxLength: 4 },
  );
  const property = fc.asyncProperty(fc.nat(1), edits, async (which, list) => {
    let bytes = (files[which] as Uint8Array<ArrayBuffer>).slice();
    for (const { kind, at, value } of list) {
      const place = Math.min(at, bytes.length);
      if (kind === "bits" && place < bytes.length) bytes[place] = (bytes[place] as number) ^ value;
      else if (kind === "word" && place + 8 <= bytes.length)
        new DataView(bytes.buffer).setBigUint64(place, value, true);
      else if (kind === "cut") bytes = Uint8Array.from([...bytes.subarray(0, place), ...bytes.subarray(place + value)]);
      else if (kind === "twice")
        bytes = Uint8Array.from([...bytes.subarray(0, place + value), ...bytes.subarray(place)]);
      else if (kind === "end") bytes = bytes.slice(0, place);
    }
    try {
      const file = await openWeights(bytes);
      for (const tensor of file.tensors.values()) {
        const data = await tensor.read();
        assert.is(data.length, tensor.byteLength);
        assert.ok(data.byteOffset + data.length <= bytes.length);
      }
    } catch (error) {
      assert.instance(error, FileError);
      assert.not.match((error as Error).message, /[\p{Cc}\p{Cf}\p{Cs}]/u);
      assert.ok((error as Error).message.length < 500);
    }
  });
  await fc.assert(property, { numRuns: RUNS, seed: seed | 0 });
});

t("what takes no options refuses some", () => {
  throwsWith(
    () => Reflect.apply(memoryTarget, undefined, [{ size: 1 }]),
    TypeError,
    "memoryTarget: expected nothing, got Object",
  );
  throwsWith(
    () => Reflect.apply(folderCache, undefined, ["folder", { limit: 1 }]),
    TypeError,
    "folderCache: expected a path",
  );
  throwsWith(
    () => Reflect.apply(folderCache, undefined, [7]),
    TypeError,
    "folderCache: path: expected a string, got 7",
  );
});

// Files of our own: matrices of every format come back as they were, on whatever machine, and what is not whole is refused.
// Cases name their formats.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import {
  FileError,
  ggml,
  loadMatrices,
  loadMatrix,
  memoryTarget,
  openWeights,
  saveMatrices,
  saveMatrix,
  writeSafetensors,
} from "../../src/files/index.ts";
import { HEADER_KEY, headerSum, MATRICES_KEY, VERSION_KEY } from "../../src/files/own/header.ts";
import { storedFormats } from "../../src/files/own/stored-formats.ts";
import { formats } from "../../src/kernels/formats.ts";
import { makeGptq } from "../formats/shared/import-vectors.ts";
import { bytesFromHex } from "../kernels/vectors.ts";
import { equal, equalBits, is, ok, rejectsWith } from "../lib/assert.ts";
import { groupSizeNear, testFormats } from "../lib/formats.ts";
import {
  availableVariants,
  bcq,
  binary,
  bitplane,
  type ComplexMatrix,
  codebook,
  complex,
  dense,
  e8p,
  everyPair,
  fairy2i,
  glvq,
  type Lowbit,
  lift,
  type Matrix,
  minifloat,
  onebit,
  packMatrix,
  ptqtp,
  pvq,
  ternary,
  trellis,
  uniform,
} from "../lib/library.ts";
import { random, seed } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { always, start } from "../lib/threads.ts";

const t = suite("own files");
const rng = random("own files");
const { instances, missing } = await availableVariants();
for (const { variant, reason } of missing) t.skip(variant, reason);
const [{ lb }] = instances as [(typeof instances)[number]];

type Any = Matrix | ComplexMatrix;

async function saved(
  content: Parameters<typeof saveMatrices>[1],
  metadata?: Record<string, string>,
): Promise<Uint8Array> {
  const target = memoryTarget();
  await saveMatrices(target, content, { ...(metadata && { metadata }) });
  return target.bytes();
}

const isComplex = (matrix: Any): matrix is ComplexMatrix => "conjugate" in matrix;
const TOKENS = 9;

/** All that a matrix computes, for the same x. */
function outputs(matrix: Any, seeded: string): Float32Array[] {
  const r = random(seeded, 1);
  const { rows, cols } = matrix;
  const ids = [rows - 1, 0];
  if (isComplex(matrix)) {
    const x = { re: r.gaussians(cols * TOKENS), im: r.gaussians(cols * TOKENS) };
    const one = { re: x.re.slice(0, cols), im: x.im.slice(0, cols) };
    return [matrix.gemv(one), matrix.gemm(x, TOKENS), matrix.dequantize(), matrix.dequantizeRows(ids)].flatMap(
      ({ re, im }) => [re, im],
    );
  }
  const x = r.gaussians(cols * TOKENS);
  return [matrix.gemv(x.slice(0, cols)), matrix.gemm(x, TOKENS), matrix.dequantize(), matrix.dequantizeRows(ids)];
}

const facts = ({ format, rows, cols, bitsPerWeight, byteLength, activation }: Any) => ({
  ...{ format, rows, cols, bitsPerWeight, byteLength, activation },
});

/** Saves and loads a matrix in every variant, and compares all that it says and computes. */
async function check(name: string, make: (lb: Lowbit) => Any): Promise<void> {
  const matrix = make(lb);
  const expected = outputs(matrix, name);
  const bytes = await saved({ [name]: matrix });
  for (const { lb: other, variant } of instances) {
    const used = other.memory.used;
    // What an instance computes takes scratch memory, which stays.
    const loaded = await loadMatrices(other, bytes);
    const back = (loaded.matrices.get(name) ?? loaded.complexMatrices.get(name)) as Any;
    equal(facts(back), facts(matrix), variant);
    for (const [i, values] of outputs(back, name).entries())
      equalBits(values, expected[i] as Float32Array, `${variant} ${i}`);
    equalBits(await saved({ [name]: back }), bytes, `${variant}: saved again`);
    loaded.dispose();
    ok(other.memory.used >= used);
  }
  matrix.dispose();
}

t("a row for every stored format", () => equal(Object.keys(storedFormats).sort(), Object.keys(formats).sort()));

for (const { format, activation } of everyPair) {
  t(`${format}, ${activation}`, async () => {
    const [rows, cols] = [37, 200];
    const { grouped } = testFormats[format];
    const groupSize = grouped ? groupSizeNear(format, activation, 64) : undefined;
    const weights = testFormats[format].random(rows, cols, random(format, 1), groupSize);
    await check(format, (on) => packMatrix(on, format, weights, activation));
  });
}

const [rows, cols] = [48, 256];
const w = rng.gaussians(rows * cols);
const shape = { rows, cols };
const both = { re: rng.gaussians(rows * cols), im: rng.gaussians(rows * cols) };
const gptq = makeGptq(random("own gptq", 1), { ...shape, groupSize: 64, bits: 4 }, "gptq", true);

const branches = {
  bias: rng.gaussians(rows),
  colScale: rng.gaussians(cols),
  lowRank: { a: rng.gaussians(rows * 5), b: rng.gaussians(5 * cols) },
  sparse: {
    rows: Uint32Array.from({ length: rows + 1 }, (_, i) => 3 * i),
    cols: Uint32Array.from({ length: 3 * rows }, (_, i) => (i % 3) * 80 + (i % 7)),
    // A value of 0 adds nothing, and stays.
    values: Float32Array.from({ length: 3 * rows }, (_, i) => (i % 5 === 0 ? 0 : i - 70)),
  },
};

const makers: Readonly<Record<string, (lb: Lowbit) => Any>> = {
  "binary, quantised": (on) => binary.quantize(on, w, { ...shape, groupSize: 64 }),
  "bcq with offsets": (on) => bcq.quantize(on, w, { ...shape, bits: 3, groupSize: 64, offset: true }),
  ptqtp: (on) => ptqtp.quantize(on, w, shape),
  onebit: (on) => onebit.quantize(on, w, shape),
  "uniform with zeros": (on) => uniform.quantize(on, w, { ...shape, bits: 4, groupSize: 32, symmetric: false }),
  "uniform, f32": (on) => uniform.quantize(on, w, { ...shape, bits: 3, groupSize: 64, activation: "f32" }),
  "act-order": (on) =>
    uniform.fromGptq(on, {
      ...{ ...shape, bits: 4, groupSize: 64 },
      qweight: new Int32Array(bytesFromHex(gptq.packed).slice().buffer),
      scales: Float32Array.from({ length: 4 * rows }, (_, i) => 1 + i / 100),
      qzeros: new Int32Array(bytesFromHex(gptq.qzeros as string).slice().buffer),
      gIdx: new Int32Array(bytesFromHex(gptq.gIdx as string).slice().buffer),
    }),
  "codebook of a row": (on) => codebook.quantize(on, w, { ...shape, bits: 3, table: "rows" } as never),
  nf4: (on) => codebook.quantize(on, w, { ...shape, bits: 4, table: "nf4", groupSize: 64 } as never),
  "bit planes": (on) => bitplane.quantize(on, w, { ...shape, bits: 3, activationBits: 4, encoding: "unsigned" }),
  "bit planes, bipolar": (on) => bitplane.quantize(on, w, { ...shape, bits: 2, activationBits: 8 }),
  complex: (on) => complex.quantize(on, both, { ...shape, conjugate: "x" }),
  "complex, lut8": (on) => complex.quantize(on, both, { ...shape, conjugate: "w", activation: "lut8" }),
  fairy2i: (on) => fairy2i.quantize(on, w, { ...shape, stages: 3 }),
  "fairy2i, f32": (on) => fairy2i.quantize(on, w, { ...shape, activation: "f32" }),
  "glvq, projected": (on) =>
    glvq.quantize(on, w, { ...shape, bits: 2, dimension: 8, groupSize: 128, mu: false } as never),
  "glvq, companded": (on) =>
    glvq.quantize(on, w, { ...shape, bits: 2, dimension: 8, groupSize: 128, mu: true } as never),
  lift: (on) => lift.quantize(on, w, { ...shape, bits: 2.4 }),
  "pvq, rotated": (on) => pvq.quantize(on, w, { ...shape, vectorSize: 8, pulses: 10 }),
  "e8p, 2 bits": (on) => e8p.quantize(on, w, { ...shape, bits: 2 }),
  "e8p, 3 bits": (on) => e8p.quantize(on, w, { ...shape, bits: 3 }),
  "e8p, 4 bits": (on) => e8p.quantize(on, w, { ...shape, bits: 4 }),
  "trellis, rotated": (on) =>
    trellis.quantize(on, rng.gaussians(128 * 128), { rows: 128, cols: 128, bits: 2, search: 4 }),
  minifloat: (on) => minifloat.quantize(on, w, { ...shape, type: "e4m3" }),
  "dense, float32": (on) => dense.pack(on, { ...shape, weights: w }),
  "dense, bfloat16": (on) =>
    dense.pack(on, {
      ...shape,
      weights: Uint16Array.from(w, (v) => (new Uint32Array(Float32Array.of(v).buffer)[0] as number) >>> 16),
      type: "bfloat16",
    }),
  "branches of a packed one": (on) => uniform.quantize(on, w, { ...shape, bits: 4 }).with(branches),
  "branches of a rotated one": (on) => e8p.quantize(on, w, { ...shape, bits: 2 }).with(branches),
  "one row and one column": (on) =>
    ternary.pack(on, { rows: 1, cols: 1, codes: Int8Array.of(-1), scales: Float32Array.of(2) }),
};
for (const [name, make] of Object.entries(makers)) t(name, () => check(name, make));

interface Vector {
  readonly rows: number;
  readonly cols: number;
  readonly blocks: string;
}
const vectors = JSON.parse(readFileSync(new URL("ggml/vectors.json", import.meta.url), "utf8")) as Record<
  string,
  Vector
>;
for (const [type, vector] of Object.entries(vectors)) {
  t(`ggml ${type}`, async () => {
    const data = new Uint8Array(Buffer.from(vector.blocks, "base64"));
    const { rows: r, cols: c } = vector;
    await check(type, (on) => ggml.matrix(on, { type, rows: r, cols: c, data }));
  });
}

t("a file of several, with two threads", async () => {
  const made = ["lift", "complex", "act-order", "branches of a packed one", "pvq, rotated"];
  const content = new Map(made.map((name) => [name, (makers[name] as (on: Lowbit) => Any)(lb)]));
  const numbers = new Uint8Array(Float32Array.of(1, 2, 3).buffer);
  const bytes = await saved(
    new Map<string, Any | { dtype: string; shape: number[]; data: Uint8Array }>([
      ["norm", { dtype: "F32", shape: [3], data: numbers }],
      ...content,
      ["fours", { dtype: "F4", shape: [2], data: Uint8Array.of(7) }],
      ["none", { dtype: "BF16", shape: [0, 4], data: new Uint8Array(0) }],
    ]),
    { note: "é\u2028", __proto__x: "" },
  );
  const threaded = await start(2);
  const progress: number[] = [];
  const loaded = await loadMatrices(threaded, bytes, { onProgress: (done, of) => progress.push(done / of) });
  is(progress.at(-1), 1);
  is(loaded.metadata.get("note"), "é\u2028");
  is(loaded.metadata.size, 2);
  equalBits(loaded.tensors.get("norm")?.data as Uint8Array, numbers, "norm");
  equal(loaded.tensors.get("none"), { dtype: "BF16", shape: [0, 4], data: new Uint8Array(0) });
  await always(() => {
    for (const [name, matrix] of content) {
      const back = (loaded.matrices.get(name) ?? loaded.complexMatrices.get(name)) as Any;
      const expected = outputs(matrix, name);
      for (const [i, values] of outputs(back, name).entries())
        equalBits(values, expected[i] as Float32Array, `${name} ${i}`);
    }
  });
  threaded.dispose();
  // Some of it.
  const used = lb.memory.used;
  const some = await loadMatrices(lb, bytes, { names: ["norm", "lift"] });
  equal([...some.matrices.keys(), ...some.tensors.keys()], ["lift", "norm"]);
  some.dispose();
  is(lb.memory.used, used);
  await rejectsWith(loadMatrices(lb, bytes, { names: ["lifts"] }), RangeError, /did you mean "lift"/);
  await rejectsWith(
    loadMatrix(lb, bytes),
    RangeError,
    "loadMatrix: source: expected a file of one matrix, got one of 5",
  );
  is(lb.memory.used, used);
  // Any reader of safetensors sees its tensors.
  equal((await openWeights(bytes)).tensors.get("norm")?.shape, [3]);
  for (const matrix of content.values()) matrix.dispose();
});

t("memory that was used before makes no difference", async () => {
  const clean = await saved({ a: (makers["branches of a rotated one"] as (on: Lowbit) => Any)(lb) });
  for (const size of [64, 999, 4096]) {
    const other = dense.pack(lb, { rows: size, cols: 64, weights: new Float32Array(size * 64).fill(-7.7) });
    other.dispose();
  }
  equalBits(await saved({ a: (makers["branches of a rotated one"] as (on: Lowbit) => Any)(lb) }), clean, "file");
});

t("the layout of a small file", async () => {
  const matrix = uniform
    .pack(lb, {
      ...{ rows: 3, cols: 16, bits: 4, groupSize: 8 },
      codes: Uint8Array.from({ length: 48 }, (_, i) => i % 16),
      scales: Float32Array.from({ length: 6 }, (_, i) => 2 ** -i),
    })
    .with({ bias: Float32Array.of(1, 2, 3) });
  const bytes = await saved(
    { weight: matrix, norm: { dtype: "F32", shape: [1], data: new Uint8Array(4) } },
    { made: "here" },
  );
  is(new TextDecoder().decode(bytes.subarray(8, 8 + HEADER.length)), HEADER);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)));
  is(Buffer.from(hash).toString("hex"), GOLDEN);
  matrix.dispose();
});
const HEADER =
  '{"__metadata__":{"made":"here","lowbit.version":"1","lowbit.matrices":"{\\"weight\\":{\\"label\\":\\"uniform4\\",\\"rows\\":3,\\"cols\\":16,' +
  '\\"format\\":\\"uniform4\\",\\"activation\\":\\"int8\\",\\"group\\":8,\\"planes\\":1,\\"branches\\":{\\"bias\\":true,\\"bytes\\":64}}}",' +
  '"lowbit.header":"915dc4609df21d88"},"norm":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' +
  '"weight":{"dtype":"U8","shape":[320],"data_offsets":[4,324]},"lowbit.checksums":{"dtype":"U8","shape":[16],"data_offsets":[324,340]}}';
const GOLDEN = "0eedd8355cbf682b7527e01e1a484e329351e7428b1542dcbeb5d0b5f2acd32e";

t("another contract, where the bytes serve it", async () => {
  const matrix = uniform.quantize(lb, w, { ...shape, bits: 4 });
  const bytes = await saved({ a: matrix, b: dense.pack(lb, { ...shape, weights: w }) });
  const f32 = uniform.quantize(lb, w, { ...shape, bits: 4, activation: "f32" });
  const loaded = await loadMatrices(lb, bytes, { activation: "f32" });
  const back = loaded.matrices.get("a") as Matrix;
  is(back.activation, "f32");
  equalBits(back.gemv(w.slice(0, cols)), f32.gemv(w.slice(0, cols)), "f32");
  loaded.dispose();
  await rejectsWith(
    loadMatrices(lb, bytes, { activation: "lut8" }),
    RangeError,
    'loadMatrices: activation: expected matrices that can take "lut8", got "a"',
  );
  const planes = await saved({ a: ternary.quantize(lb, w, { ...shape, activation: "lut8" }) });
  await rejectsWith(
    loadMatrices(lb, planes, { activation: "int8" }),
    RangeError,
    /whose bytes were packed for another/,
  );
});

t("one matrix, and what cannot be saved", async () => {
  const target = memoryTarget();
  const matrix = binary.quantize(lb, w, shape);
  await saveMatrix(target, matrix, { metadata: { from: "w" } });
  const back = (await loadMatrix(lb, target.bytes())) as Matrix;
  equalBits(back.dequantize(), matrix.dequantize(), "weights");
  await rejectsWith(
    saveMatrix(memoryTarget(), {} as never),
    TypeError,
    "saveMatrix: matrix: expected a matrix of this package",
  );
  await rejectsWith(
    saveMatrices(memoryTarget(), { "lowbit.a": matrix }),
    RangeError,
    'names that do not begin with "lowbit."',
  );
  await rejectsWith(saveMatrices(memoryTarget(), { a: 1 as never }), TypeError, "saveMatrices: a: expected an object");
  await rejectsWith(
    saveMatrices(memoryTarget(), { a: { dtype: "F9", shape: [1], data: new Uint8Array(4) } }),
    RangeError,
    "dtype",
  );
  // Disposed of while it is written: nothing is left.
  let aborted = false;
  const slow = {
    async write() {
      matrix.dispose();
    },
    async close() {},
    async abort() {
      aborted = true;
    },
  };
  await rejectsWith(saveMatrices(slow, { a: matrix }), TypeError, "was disposed");
  ok(aborted);
  await rejectsWith(saveMatrix(memoryTarget(), matrix), TypeError, "was disposed");
  back.dispose();
});

t("structuredClone refuses a matrix", () => {
  const matrix = binary.quantize(lb, w, shape);
  const pair = complex.quantize(lb, both, shape);
  for (const one of [matrix, pair, matrix.with({ bias: new Float32Array(rows) })]) {
    let error: unknown;
    try {
      structuredClone(one);
    } catch (caught) {
      error = caught;
    }
    is((error as Error | undefined)?.name, "DataCloneError");
  }
});

/** A file of several kinds of records, small. */
async function sample(): Promise<Uint8Array> {
  const small = { rows: 20, cols: 64 };
  const v = random("own sample", 1).gaussians(20 * 64);
  const sparse = {
    rows: Uint32Array.from({ length: 21 }, (_, i) => i),
    cols: new Uint32Array(20),
    values: new Float32Array(20).fill(3),
  };
  const content = {
    a: uniform.quantize(lb, v, { ...small, bits: 4, groupSize: 32 }).with({ sparse, bias: v.slice(0, 20) }),
    b: pvq.quantize(lb, v, { ...small, vectorSize: 8, pulses: 4 }),
    c: complex.quantize(lb, { re: v, im: v }, small),
    d: trellis.packCodes(lb, { rows: 16, cols: 16, trellis: new Uint16Array(32).fill(0x1234) }),
    e: lift.quantize(lb, v, { ...small, bits: 2 }),
    f: { dtype: "F32", shape: [5], data: new Uint8Array(v.slice(0, 5).buffer) },
    g: ggml.matrix(lb, {
      type: "Q4_K",
      rows: 3,
      cols: 1024,
      data: new Uint8Array(Buffer.from((vectors.Q4_K as Vector).blocks, "base64")),
    }),
  };
  return saved(content);
}

/** Loads it, computes with it, and gives everything back: what it is, or that it was refused in words of ours. */
async function attempt(bytes: Uint8Array): Promise<string> {
  const used = lb.memory.used;
  let text = "";
  let loaded: Awaited<ReturnType<typeof loadMatrices>> | undefined;
  try {
    loaded = await loadMatrices(lb, bytes);
    for (const [name, { dtype, shape: sizes, data }] of loaded.tensors) text += `${name}${dtype}${sizes}${data}`;
    for (const [name, matrix] of loaded.matrices) {
      const x = new Float32Array(matrix.cols).fill(0.5);
      text += `${name}${matrix.format}${matrix.gemv(x)}${matrix.gemm(new Float32Array(3 * matrix.cols).fill(0.25), 3)}`;
      text += String(matrix.dequantizeRows([0]));
    }
  } catch (error) {
    // Numbers of a rotation that somebody made up may be too large for x.
    const isOurs = loaded
      ? error instanceof RangeError && /: expected .*, got /.test(error.message)
      : error instanceof FileError;
    if (!isOurs) throw error;
    text = "refused";
  } finally {
    loaded?.dispose();
  }
  // Scratch memory grew once, in the first attempt.
  ok(lb.memory.used <= used, "memory is given back");
  return text;
}

t("mutated files are refused, or what they were", async () => {
  const whole = await sample();
  await attempt(whole).catch(() => {});
  const expected = await attempt(whole);
  const runs = Number(process.env.LOWBIT_FUZZ ?? 1000);
  let refused = 0;
  const mutation = fc.record({
    at: fc.nat({ max: whole.length - 1 }),
    header: fc.boolean(),
    byte: fc.nat({ max: 255 }),
    kind: fc.constantFrom("byte", "bit", "cut", "insert", "swap"),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (changes) => {
      let bytes = whole.slice();
      for (const { at: place, header, byte, kind } of changes) {
        const at = (header ? place % 3000 : place) % bytes.length;
        if (kind === "byte") bytes[at] = byte;
        else if (kind === "bit") bytes[at] = (bytes[at] as number) ^ (1 << (byte & 7));
        else if (kind === "cut") bytes = bytes.slice(0, at + 1);
        else if (kind === "swap") bytes.copyWithin(at, place);
        else bytes = Uint8Array.from([...bytes.subarray(0, at), byte, ...bytes.subarray(at)]);
      }
      const text = await attempt(bytes);
      if (text === "refused") refused++;
      else is(text, expected);
    }),
    { numRuns: runs, seed },
  );
  ok(refused > runs / 2, `${refused} of ${runs}`);
});

/** The same file with other metadata and bytes, its checksums made anew: what somebody makes who means to deceive. */
async function forged(
  bytes: Uint8Array,
  change: (records: Record<string, object>, data: Map<string, Uint8Array>) => void,
): Promise<Uint8Array> {
  const file = await openWeights(bytes);
  const metadata = new Map([...file.metadata].map(([key, { value }]) => [key, String(value)]));
  const data = new Map<string, Uint8Array>();
  for (const [name, tensor] of file.tensors)
    if (!name.startsWith("lowbit.")) data.set(name, (await tensor.read()).slice());
  const records = JSON.parse(metadata.get(MATRICES_KEY) as string);
  change(records, data);
  metadata.set(MATRICES_KEY, JSON.stringify(records));
  const plain = memoryTarget();
  const tensors = [...data].map(([name, value]) => {
    const { dtype, shape: sizes } = file.tensors.get(name) as { dtype: string; shape: readonly number[] };
    const same = value.length === file.tensors.get(name)?.byteLength;
    return { name, dtype, shape: same ? sizes : [value.length], data: value };
  });
  // Bytes of a file of the same tensors, of which the checksums are taken.
  await saveMatrices(plain, Object.fromEntries(tensors.map(({ name, ...tensor }) => [name, tensor])));
  const sums = await (
    (await openWeights(plain.bytes())).tensors.get("lowbit.checksums") as { read(): Promise<Uint8Array> }
  ).read();
  const all = [...tensors, { name: "lowbit.checksums", dtype: "U8", shape: [sums.length], data: sums }];
  metadata.delete(HEADER_KEY);
  metadata.set(HEADER_KEY, headerSum(metadata, all));
  const target = memoryTarget();
  await writeSafetensors(target, { metadata, tensors: all });
  return target.bytes();
}

t("forged records and bytes are refused, or compute", async () => {
  const whole = await sample();
  equalBits(
    new TextEncoder().encode(await attempt(await forged(whole, () => {}))),
    new TextEncoder().encode(await attempt(whole)),
    "unchanged",
  );
  const refusals: [change: Parameters<typeof forged>[1], message: RegExp][] = [
    [
      (r) => Object.assign(r.a as object, { format: "uniform7" }),
      /a: record: format: expected one that this version of lowbit knows, got "uniform7"/,
    ],
    [(r) => Object.assign(r.a as object, { rows: 2 ** 28 }), /a: record: expected \d+ bytes/],
    [(r) => Object.assign(r.a as object, { cols: 1e300 }), /cols/],
    [(r) => Object.assign(r.a as object, { group: 24 }), /bytes/],
    [(r) => Object.assign(r.a as object, { more: 1 }), /members that this version of lowbit knows, got "more"/],
    [(r) => Object.assign(r.a as object, { types: 17 }), /types/],
    [(r) => Object.assign(r.a as object, { activation: "lut8" }), /activation/],
    [(r) => Object.assign(r.a as object, { branches: { bias: true, bytes: 128 } }), /bytes/],
    [(r) => Object.assign(r.c as object, { complex: { kinds: 3, oneScale: false } }), /kinds/],
    [(r) => Object.assign(r.e as object, { pre: [] }), /pre: expected steps to length/],
    [(r) => Object.assign(r.e as object, { cols: 65 }), /a multiple|expected/],
    [
      (r) =>
        Object.assign((r.b as unknown as { inners: { matrix: object }[] }).inners[0]?.matrix as object, { pulses: 15 }),
      /pulses/,
    ],
    [(_, d) => d.get("a")?.set(new Uint8Array(Float32Array.of(Number.NaN).buffer), 32 * 32), /scales/],
    [(_, d) => d.get("a")?.fill(0xff, (d.get("a")?.length as number) - 200), /sparse/],
    [(_, d) => d.get("d")?.fill(9, (d.get("d")?.length as number) - 64), /codebook|scales/],
  ];
  for (const [change, message] of refusals) {
    await rejectsWith(loadMatrices(lb, await forged(whole, change)), FileError, message);
  }
  const r = random("own forged");
  const paths = ["a", "b", "c", "d", "e", "g"];
  const values = [0, 1, 2, 3, 16, 17, 64, 65535, 2 ** 31, -1, 0.5, true, "int8", "f32", null, [], {}];
  for (let i = 0; i < Number(process.env.LOWBIT_FUZZ ?? 1000) / 5; i++) {
    const bytes = await forged(whole, (records, data) => {
      const name = paths[r.int(0, paths.length - 1)] as string;
      let record = records[name] as unknown as Record<string, unknown>;
      while (r.int(0, 2) > 0) {
        const inner = Object.values(record).filter((value) => typeof value === "object" && value !== null);
        if (inner.length === 0) break;
        record = inner[r.int(0, inner.length - 1)] as Record<string, unknown>;
      }
      const keys = Object.keys(record);
      if (keys.length > 0 && r.int(0, 3) > 0)
        record[keys[r.int(0, keys.length - 1)] as string] = values[r.int(0, values.length - 1)];
      const content = data.get(name) as Uint8Array;
      if (r.int(0, 1) === 0) for (let j = 0; j < 20; j++) content[r.int(0, content.length - 1)] = r.int(0, 255);
    });
    await attempt(bytes);
  }
});

t("another version, another kind, and files cut short", async () => {
  const whole = await sample();
  const file = await openWeights(whole);
  const metadata = new Map([...file.metadata].map(([key, { value }]) => [key, String(value)]));
  metadata.set(VERSION_KEY, "2");
  metadata.set(HEADER_KEY, headerSum(metadata, file.tensors.values()));
  const target = memoryTarget();
  await writeSafetensors(target, {
    metadata,
    tensors: [...file.tensors.values()].map((tensor) => ({ ...tensor, data: tensor })),
  });
  await rejectsWith(
    loadMatrices(lb, target.bytes()),
    FileError,
    'lowbit.version: expected "1", got "2": made by another version of lowbit',
  );
  const other = memoryTarget();
  await writeSafetensors(other, { tensors: [] });
  await rejectsWith(loadMatrices(lb, other.bytes()), FileError, "expected a file of lowbit");
  await rejectsWith(loadMatrices(lb, whole.subarray(0, whole.length - 1)), FileError, "bytes of data");
  const broken = whole.slice();
  const at = whole.length - 1000;
  broken[at] = (broken[at] as number) ^ 1;
  await rejectsWith(loadMatrices(lb, broken), FileError, "they are damaged");
});

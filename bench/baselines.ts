import type { Activation } from "../src/kernels/types.ts";
import type { Case } from "./cases.ts";
import { type BenchFormat, type BenchWeights, randomBytes, randomScales } from "./formats/format.ts";
import { type Layer, Reference } from "./layer.ts";
import { type Run, sink } from "./measure.ts";
import type { YardstickModule } from "./wasm.ts";

/**
 * The scalar baselines are slow and linear in rows and tokens, so they are timed on the first rows that hold about this
 * many weights, with one token, and scaled: a call is then about as short as the other measurements of a round, and no
 * likelier to be interrupted. A part fits the caches better than the layer would, and the activations come quantised:
 * both favour the baselines.
 */
const MAX_WEIGHTS = 2 ** 20;

// The packed layout, drawn in bench/assembly/baseline.ts.
const TILE_ROWS = 64;
const ROW_STEP = 16;

/** The first rows of a layer. */
interface Part {
  /** Of these rows only. */
  readonly layer: Layer;
  readonly wholeRows: number;
  readonly rows: readonly Float64Array[];
  readonly reference: Reference;
}

function firstRows(layer: Layer, weights: Pick<BenchWeights, "decodeRow">): Part {
  const { rows: wholeRows, cols } = layer.shape;
  const count = Math.min(wholeRows, Math.max(TILE_ROWS, Math.floor(MAX_WEIGHTS / cols)));
  const rows = Array.from({ length: count }, (_, row) => weights.decodeRow(row));
  const cut: Layer = { ...layer, shape: { ...layer.shape, rows: count } };
  return { layer: cut, wholeRows, rows, reference: new Reference(cut, weights) };
}

/** Symmetric int8 with the largest magnitude at 127; padded with zeros to a multiple of 8. */
function quantize(x: Float32Array): { q: Int8Array; scale: number } {
  const scale = x.reduce((max, v) => Math.max(max, Math.abs(v)), 0) / 127;
  const q = new Int8Array(Math.ceil(x.length / 8) * 8);
  for (let c = 0; c < x.length; c++) q[c] = Math.round((x[c] as number) / scale);
  return { q, scale };
}

/**
 * Scalar loops over weights of a byte or a float, for all formats alike: what they cost does not depend on the values.
 * One scale a row, which favours them over formats with groups.
 */
export function plainBaselines(module: YardstickModule, layer: Layer): Case[] {
  const { cols } = layer.shape;
  const scales = randomScales(layer.shape.rows, 3);
  const codes = randomBytes(Math.max(MAX_WEIGHTS, TILE_ROWS * cols), 1);
  const decodeRow = (row: number): Float64Array =>
    Float64Array.from(codes.subarray(row * cols, (row + 1) * cols), (code) => (code - 128) * (scales[row] as number));
  const part = firstRows(layer, { decodeRow });
  const rows = part.rows.length;
  const x = layer.x.slice(0, cols);
  const y = new Float32Array(rows);

  const floats = new Float32Array(rows * cols);
  for (const [row, line] of part.rows.entries()) floats.set(line, row * cols);
  const f32 = (): void => {
    gemvF32(floats, x, y);
    sink.total += y[0] as number;
  };

  const { q, scale } = quantize(x);
  const weights = Int8Array.from(codes.subarray(0, rows * cols), (code) => code - 128);
  const int8 = (): void => {
    gemvInt8(weights, q, y, cols);
    for (let row = 0; row < rows; row++) y[row] = (y[row] as number) * scale * (scales[row] as number);
    sink.total += y[0] as number;
  };

  const wasm = module.codes({
    codes: codes.subarray(0, rows * cols),
    zero: 128,
    x: q.subarray(0, cols),
    xScale: scale,
    scales: scales.subarray(0, rows),
  });
  const wasmCodes = (): void => {
    wasm.run();
    sink.total += 1;
  };

  const y0 = (): Float32Array => y;
  return [
    scalar(part, { kernel: "scalar_js_f32", format: null, activation: "f32", variant: "js", bits: 32 }, f32, y0),
    scalar(part, { kernel: "scalar_js_int8", format: null, activation: "int8", variant: "js", bits: 8 }, int8, y0),
    scalar(
      part,
      { kernel: "scalar_wasm_codes", format: null, activation: "int8", variant: "wasm", bits: 8 },
      wasmCodes,
      wasm.y,
    ),
  ];
}

/** Scalar AssemblyScript on the packed planes of formats that consist of them. */
export function packedBaseline(
  module: YardstickModule,
  layer: Layer,
  format: BenchFormat,
  weights: BenchWeights,
): Case | undefined {
  if (!weights.planes) return undefined;
  const { count: planes } = weights.planes;
  const part = firstRows(layer, weights);
  const { rows: partRows, cols } = part.layer.shape;
  const { q, scale } = quantize(layer.x.subarray(0, cols));
  const rows = Math.ceil(partRows / ROW_STEP) * ROW_STEP;
  const scales = new Float32Array(rows);
  scales.set(weights.planes.scales.subarray(0, partRows));
  const gemv = module.gemv({ tiles: packTiles(part, planes, rows), planes, x: q, xScale: scale, scales, rows });
  const run = (): void => {
    gemv.run();
    sink.total += 1;
  };
  const kernel = "scalar_wasm_packed";
  return scalar(part, { kernel, format: format.label, activation: "int8", variant: "wasm", bits: planes }, run, gemv.y);
}

/** Reading as many bytes as a format's packed layer has. */
export function readBaseline(module: YardstickModule, format: string, bytes: number): Case {
  const read = module.read(bytes);
  const run = (): void => {
    sink.total += read();
  };
  return {
    role: "read",
    kernel: "wasm_read",
    format,
    activation: null,
    variant: "simd",
    threads: 1,
    bytes,
    scale: () => 1,
    run,
    nmse: null,
  };
}

interface Scalar {
  readonly kernel: string;
  readonly format: string | null;
  readonly activation: Activation;
  readonly variant: string;
  /** Of one weight in this baseline's form. */
  readonly bits: number;
}

function scalar(part: Part, { bits, ...names }: Scalar, run: Run, y: () => ArrayLike<number>): Case {
  const { reference, wholeRows } = part;
  const { rows, cols } = part.layer.shape;
  const nmse = reference.nmse(1, 1, () => {
    run();
    return y();
  });
  return {
    role: "scalar",
    ...names,
    threads: 1,
    bytes: (wholeRows * cols * bits) / 8,
    scale: (n) => (wholeRows / rows) * n,
    run,
    nmse,
  };
}

/** The rows of `part` on the packed layout, `rows` of them with the padding. */
function packTiles(part: Part, planes: 1 | 2, rows: number): Uint8Array {
  const { cols } = part.layer.shape;
  const byteCols = Math.ceil(cols / 8);
  const tiles = new Uint8Array(rows * byteCols * planes);
  for (const [row, weights] of part.rows.entries()) {
    const first = Math.floor(row / TILE_ROWS) * TILE_ROWS;
    const height = Math.min(TILE_ROWS, rows - first);
    for (let c = 0; c < cols; c++) {
      const weight = weights[c] as number;
      const byte = (first * byteCols + (c >> 3) * height + row - first) * planes;
      // The last plane has the columns with w > 0, and one before it those with w >= 0.
      for (let plane = 0; plane < planes; plane++) {
        const bit = plane === planes - 1 ? weight > 0 : weight >= 0;
        tiles[byte + plane] = (tiles[byte + plane] as number) | (Number(bit) << (c & 7));
      }
    }
  }
  return tiles;
}

function gemvF32(w: Float32Array, x: Float32Array, y: Float32Array): void {
  for (let row = 0, i = 0; row < y.length; row++) {
    let sum = 0;
    for (let c = 0; c < x.length; c++, i++) sum += (w[i] as number) * (x[c] as number);
    y[row] = sum;
  }
}

function gemvInt8(w: Int8Array, x: Int8Array, y: Float32Array, cols: number): void {
  for (let row = 0, i = 0; row < y.length; row++) {
    let sum = 0;
    for (let c = 0; c < cols; c++, i++) sum = (sum + (w[i] as number) * (x[c] as number)) | 0;
    y[row] = sum;
  }
}

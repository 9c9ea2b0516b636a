import type { Activation, FormatName } from "../src/registry.ts";
import type { Case } from "./cases.ts";
import type { BenchFormat } from "./formats.ts";
import { type Layer, Reference } from "./layer.ts";
import { type Run, sink } from "./measure.ts";
import type { Shape } from "./shapes.ts";
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

/** The first rows of a layer in one format, decoded. */
interface Part {
  /** Of these rows only. */
  readonly layer: Layer;
  readonly wholeRows: number;
  /** [rows, cols] */
  readonly weights: Int8Array;
  readonly reference: Reference;
}

function firstRows(layer: Layer, format: BenchFormat, codes: Uint8Array): Part {
  const { rows: wholeRows, cols } = layer.shape;
  const rows = Math.min(wholeRows, Math.max(TILE_ROWS, Math.floor(MAX_WEIGHTS / cols)));
  const weights = new Int8Array(rows * cols);
  for (let row = 0; row < rows; row++) weights.set(format.decodeRow(codes, row, cols), row * cols);
  const cut: Layer = { ...layer, shape: { ...layer.shape, rows } };
  return { layer: cut, wholeRows, weights, reference: new Reference(cut, format, codes) };
}

/** Symmetric int8 with the largest magnitude at 127; padded with zeros to a multiple of 8. */
function quantize(x: Float32Array): { q: Int8Array; scale: number } {
  const scale = x.reduce((max, v) => Math.max(max, Math.abs(v)), 0) / 127;
  const q = new Int8Array(Math.ceil(x.length / 8) * 8);
  for (let c = 0; c < x.length; c++) q[c] = Math.round((x[c] as number) / scale);
  return { q, scale };
}

/** Plain JavaScript, without the library: `format` and `codes` only lend the numbers. */
export function javascriptBaselines(layer: Layer, format: BenchFormat, codes: Uint8Array): Case[] {
  const part = firstRows(layer, format, codes);
  const { rows, cols } = part.layer.shape;
  const { weights } = part;
  const x = layer.x.slice(0, cols);
  const y = new Float32Array(rows);

  const floats = new Float32Array(weights.length);
  for (let i = 0; i < floats.length; i++) {
    floats[i] = (weights[i] as number) * (layer.scales[Math.floor(i / cols)] as number);
  }
  const f32 = (): void => {
    gemvF32(floats, x, y);
    sink.total += y[0] as number;
  };

  const { q, scale } = quantize(x);
  const int8 = (): void => {
    gemvInt8(weights, q, y, cols);
    for (let row = 0; row < rows; row++) y[row] = (y[row] as number) * scale * (layer.scales[row] as number);
    sink.total += y[0] as number;
  };

  const y0 = (): Float32Array => y;
  return [
    scalar(part, { kernel: "scalar_js_f32", format: null, activation: "f32", variant: "js", bits: 32 }, f32, y0),
    scalar(part, { kernel: "scalar_js_int8", format: null, activation: "int8", variant: "js", bits: 8 }, int8, y0),
  ];
}

/** Scalar AssemblyScript on the packed layout. */
export function packedBaseline(
  module: YardstickModule,
  layer: Layer,
  name: FormatName,
  format: BenchFormat,
  codes: Uint8Array,
): Case {
  const part = firstRows(layer, format, codes);
  const { rows: partRows, cols } = part.layer.shape;
  const { q, scale } = quantize(layer.x.subarray(0, cols));
  const rows = Math.ceil(partRows / ROW_STEP) * ROW_STEP;
  const scales = new Float32Array(rows);
  scales.set(layer.scales.subarray(0, partRows));
  const { planes } = format;
  const gemv = module.gemv({ tiles: packTiles(part, format, rows), planes, x: q, xScale: scale, scales, rows });
  const run = (): void => {
    gemv.run();
    sink.total += 1;
  };
  const kernel = "scalar_wasm_packed";
  return scalar(part, { kernel, format: name, activation: "int8", variant: "wasm", bits: planes }, run, gemv.y);
}

/** Bytes of a layer in the library's packed form: bit planes and a float32 scale a row. */
export function packedBytes({ rows, cols }: Shape, planes: number): number {
  const paddedRows = Math.ceil(rows / ROW_STEP) * ROW_STEP;
  return paddedRows * (Math.ceil(cols / 8) * planes + 4);
}

/** Reading as many bytes as a format's packed layer has. */
export function readBaseline(module: YardstickModule, name: FormatName, bytes: number): Case {
  const read = module.read(bytes);
  const run = (): void => {
    sink.total += read();
  };
  return {
    role: "read",
    kernel: "wasm_read",
    format: name,
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
  readonly format: FormatName | null;
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
function packTiles(part: Part, format: BenchFormat, rows: number): Uint8Array {
  const { rows: partRows, cols } = part.layer.shape;
  const { planes } = format;
  const byteCols = Math.ceil(cols / 8);
  const tiles = new Uint8Array(rows * byteCols * planes);
  for (let row = 0; row < partRows; row++) {
    const first = Math.floor(row / TILE_ROWS) * TILE_ROWS;
    const height = Math.min(TILE_ROWS, rows - first);
    for (let c = 0; c < cols; c++) {
      const weight = part.weights[row * cols + c] as number;
      const byte = (first * byteCols + (c >> 3) * height + row - first) * planes;
      for (let plane = 0; plane < planes; plane++) {
        tiles[byte + plane] = (tiles[byte + plane] as number) | (format.signBit(weight, plane) << (c & 7));
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

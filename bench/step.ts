// The products of a decode step of a language model, one token: every matrix has bytes of its own, so that weights come from
// memory as they do in a model, where benchmarks of one matrix find them in a cache.
import { type Lowbit, type Matrix, ternary, uniform } from "lowbit";
import type { Loaded } from "./cases.ts";
import { fullBudget, interleave, quickBudget, sink } from "./measure.ts";
import type { YardstickModule } from "./wasm.ts";

/** Rows and columns of the matrices of a layer: queries, keys, values, output; gate, up, down. */
const MODELS = {
  "llama-3.2-1b": [
    [2048, 2048],
    [512, 2048],
    [512, 2048],
    [2048, 2048],
    [8192, 2048],
    [8192, 2048],
    [2048, 8192],
  ],
  "bitnet-2b4t": [
    [2560, 2560],
    [640, 2560],
    [640, 2560],
    [2560, 2560],
    [6912, 2560],
    [6912, 2560],
    [2560, 6912],
  ],
} as const;

interface StepFormat {
  readonly model: keyof typeof MODELS;
  readonly bits: 2 | 4 | 6 | 8 | "ternary";
  readonly groupSize?: number;
  readonly zeros?: true;
  readonly activation?: "lut8";
}

const FORMATS: Readonly<Record<string, StepFormat>> = {
  "uniform4 g32": { model: "llama-3.2-1b", bits: 4, groupSize: 32 },
  "uniform4 g32 zeros": { model: "llama-3.2-1b", bits: 4, groupSize: 32, zeros: true },
  "uniform2 g16 zeros": { model: "llama-3.2-1b", bits: 2, groupSize: 16, zeros: true },
  "uniform6 g16": { model: "llama-3.2-1b", bits: 6, groupSize: 16 },
  "uniform8 g32": { model: "llama-3.2-1b", bits: 8, groupSize: 32 },
  "ternary lut8": { model: "bitnet-2b4t", bits: "ternary", activation: "lut8" },
  "ternary int8": { model: "bitnet-2b4t", bits: "ternary" },
};

/** Layers of a step: more than any cache holds, and fewer than a model has, because only packing would take longer. */
const LAYERS = 4;
const QUICK_LAYERS = 2;

/** Bytes that look random: multiples of an odd number that is no small fraction of 2^32, their top bytes. */
function noise(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);
}

function pack(lb: Lowbit, rows: number, cols: number, format: StepFormat): Matrix {
  const { bits, groupSize = cols, zeros, activation = "int8" } = format;
  const groups = rows * Math.ceil(cols / groupSize);
  const scales = new Float32Array(groupSize === cols ? 1 : groups).fill(1 / 64);
  const common = { rows, cols, activation, scales, ...(groupSize < cols && { groupSize }) } as const;
  const codes = noise(rows * cols);
  if (bits === "ternary")
    return ternary.pack(lb, { ...common, codes: Int8Array.from(codes, (code) => (code % 3) - 1) });
  const mask = 2 ** bits - 1;
  return uniform.pack(lb, {
    ...common,
    activation: "int8",
    bits,
    codes: codes.map((code) => code & mask),
    ...(zeros && { zeros: new Float32Array(scales.length).fill(2 ** (bits - 1) - 0.5) }),
  });
}

/** Runs the steps whose label matches and prints their times beside reading as many bytes; null when there are none. */
export function benchSteps(
  loaded: readonly Loaded[],
  module: YardstickModule,
  filter: RegExp,
  quick: boolean,
): true | null {
  const labels = Object.keys(FORMATS).flatMap((name) =>
    loaded.map((one) => ({ name, one, label: `step ${name} ${one.variant} threads=${one.threads}` })),
  );
  const wanted = labels.filter(({ label }) => filter.test(label));
  if (wanted.length === 0) return null;
  const layers = quick ? QUICK_LAYERS : LAYERS;
  console.log(`\ndecode steps of ${layers} layers, one token\n`);
  console.log(
    `${"".padEnd(44)} ${"MB".padStart(6)} ${"ms".padStart(8)} ${"Gw/s".padStart(7)} ${"GB/s".padStart(7)}   read`,
  );
  for (const { name, one, label } of wanted) {
    const format = FORMATS[name] as StepFormat;
    const shapes = Array.from({ length: layers }, () => MODELS[format.model]).flat();
    const matrices = shapes.map(([rows, cols]) => pack(one.lb, rows, cols, format));
    const bytes = matrices.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const weights = matrices.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
    const longest = Math.max(...shapes.flat());
    const x = Float32Array.from(noise(longest), (byte) => (byte - 127.5) / 128);
    const y = new Float32Array(longest);
    const step = (): void => {
      for (const matrix of matrices) {
        matrix.gemv(x.subarray(0, matrix.cols), y.subarray(0, matrix.rows));
        sink.total += y[0] as number;
      }
    };
    module.reset();
    const read = module.read(bytes);
    const reading = (): void => {
      sink.total += read();
    };
    const [ms, readMs] = interleave([step, reading], quick ? quickBudget : fullBudget, () => {}) as [number, number];
    const cells = [
      (bytes / 1e6).toFixed(0).padStart(6),
      ms.toFixed(2).padStart(8),
      (weights / ms / 1e6).toFixed(1).padStart(7),
      (bytes / ms / 1e6).toFixed(1).padStart(7),
      `${((100 * readMs) / ms).toFixed(0)} %`.padStart(6),
    ];
    console.log(`${label.padEnd(44)} ${cells.join(" ")}`);
    for (const matrix of matrices) matrix.dispose();
  }
  return true;
}

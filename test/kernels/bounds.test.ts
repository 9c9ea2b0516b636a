// Narrow accumulators at their extremes. Sums are kept in 8 and 16 bits for as long as the kernels' bounds allow, so the
// tests put the largest possible terms at every place where a sum is flushed to a wider one, and one step to each side.
// Formats whose products are the same exports of the binaries take turns: a bound is a loop's, not a name's.
// Split by format.
import { formatOf } from "../../src/kernels/formats.ts";
import { candidates, exportOf, kernels } from "../../src/kernels/registry.ts";
import { equalBits } from "../lib/assert.ts";
import { filled } from "../lib/fill.ts";
import { type AnyWeights, groupSizeNear, testFormats } from "../lib/formats.ts";
import {
  type Activation,
  availableVariants,
  everyPair,
  expectation,
  type FormatName,
  packMatrix,
  withMatrix,
} from "../lib/library.ts";
import { outwardActivations, random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const { instances, missing } = await availableVariants();

/** The signs of x, whose product with x is the largest possible; or other extremes. One a row, then again from the top. */
const rowKinds: { name: string; code: (x: number, column: number) => number }[] = [
  { name: "w = sign x", code: (x) => (x < 0 ? -1 : 1) },
  { name: "w = -sign x", code: (x) => (x < 0 ? 1 : -1) },
  { name: "all +1", code: () => 1 },
  { name: "all -1", code: () => -1 },
  { name: "alternating", code: (_, k) => (k % 2 === 0 ? 1 : -1) },
];

/** Rows of each kind, 1 to 16 of them in each of several strips, so that every lane meets every kind. */
function extremeWeights(
  format: FormatName,
  activation: Activation,
  x: Float32Array,
  rows: number,
  groupSize?: number,
): AnyWeights {
  const cols = x.length;
  const { levels, grouped, of } = testFormats[format];
  const [least, most] = levels as [number, number];
  const codes = new Int16Array(rows * cols);
  for (let r = 0; r < rows; r++) {
    const { code } = rowKinds[r % rowKinds.length] as (typeof rowKinds)[0];
    for (let k = 0; k < cols; k++) codes[r * cols + k] = code(x[k] as number, k) > 0 ? most : least;
  }
  return of(rows, cols, codes, [1], grouped && groupSize ? groupSizeNear(format, activation, groupSize) : undefined);
}

function check(format: FormatName, activation: Activation, x: Float32Array, weights: AnyWeights, label: string): void {
  const { rows, cols } = weights;
  const expected = expectation(weights, activation, x, format);
  // Enough tokens for the kernels that unpack, an odd one among them, all at the extreme.
  const n = 17;
  const tokens = new Float32Array(n * cols);
  for (let i = 0; i < n; i++) tokens.set(x, i * cols);
  for (const { variant, lb } of instances) {
    withMatrix(lb, format, weights, activation, (matrix) => {
      const y = matrix.gemv(x);
      expected(y, `${variant} ${rows} x ${cols}: ${label}`);
      if (cols > 20000) return;
      const all = matrix.gemm(tokens, n);
      for (let i = 0; i < n; i++) {
        equalBits(all.subarray(i * rows, (i + 1) * rows), y, `${variant} gemm ${rows} x ${cols}: ${label}`);
      }
    });
  }
}

function floats(length: number, value: (k: number) => number): Float32Array {
  return filled(new Float32Array(length), value);
}

// Where the kernels flush: after 3, 64, 144 and 255 bytes of columns, and after 64 steps of 2 columns; and their
// neighbours and multiples, also those of other plausible choices.
const flushes = [8, 24, 128, 252, 256, 504, 512, 1008, 1024, 1152, 1536, 2040, 2048, 2304, 4080, 4096, 32768];
const lengths = [...new Set(flushes.flatMap((k) => [k - 1, k, k + 1, k + 8]))];
// Dot products: 16-bit lanes after 1 to 64 steps of 4 columns (2 bits: 80 and 160 columns), unpacked blocks after 128 and
// 256 columns.
const dotLengths = [
  ...[7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 79, 80, 81, 96, 127, 128, 129, 159, 160, 161],
  ...[255, 256, 257, 321, 513, 1025],
];

const skipped = suite("bounds: variants");
for (const { variant, reason } of missing) skipped.skip(variant, reason);
skipped("one at least", () => {
  if (instances.length === 0) throw new Error("no variant runs here");
});

interface Shared {
  /** Formats of one activation whose rows name the same exports, and whose weights reach as far. */
  readonly formats: FormatName[];
  readonly activation: Activation;
  /** Kernels of sign planes, which flush at more places. bcq runs those of binary. */
  readonly planes: boolean;
}

function sharedExports(): Shared[] {
  const shared = new Map<string, Shared>();
  for (const { format, activation } of everyPair) {
    const rows = kernels.filter((row) => row.format === format && row.activation === activation);
    const planes = formatOf(format, activation).layout === "planes" && format !== "bcq";
    const key = [activation, planes, testFormats[format].levels, ...rows.map(exportOf).sort()].join();
    const group = shared.get(key);
    if (group) group.formats.push(format);
    else shared.set(key, { formats: [format], activation, planes });
  }
  return [...shared.values()];
}

/** One group, and groups of `size` columns where the formats have them. */
function groupSizes(formats: readonly FormatName[], size: number): (number | undefined)[] {
  return formats.every((format) => testFormats[format].grouped) ? [undefined, size] : [undefined];
}

function inTurn(formats: readonly FormatName[], i: number): FormatName {
  return formats[i % formats.length] as FormatName;
}

for (const { formats, activation, planes } of sharedExports()) {
  {
    const name = `${formats.join(", ")} ${activation}`;
    const t = suite(`bounds ${name}`);
    const rng = random(`bounds ${name}`);

    t("all terms at their largest, around every flush", () => {
      for (const [i, cols] of (planes ? lengths : dotLengths).entries()) {
        const format = inTurn(formats, i);
        const same = floats(cols, () => 1);
        const mixed = floats(cols, () => (rng.bits() & 1 ? 1 : -1));
        for (const groupSize of groupSizes(formats, 256)) {
          check(
            format,
            activation,
            same,
            extremeWeights(format, activation, same, 21, groupSize),
            `all 1, group ${groupSize}`,
          );
          check(
            format,
            activation,
            mixed,
            extremeWeights(format, activation, mixed, 21, groupSize),
            `+-1, group ${groupSize}`,
          );
        }
      }
    });

    t("twins that this machine would not choose", () => {
      for (const [i, cols] of dotLengths.entries()) {
        const format = inTurn(formats, i);
        const x = floats(cols, () => 1);
        const weights = extremeWeights(format, activation, x, 21);
        const expected = expectation(weights, activation, x, format);
        for (const { variant, lb } of instances) {
          for (const { name, dot } of candidates("gemv", format, activation, variant)) {
            if (!dot) continue;
            const matrix = packMatrix(lb, format, weights, activation, name);
            expected(matrix.gemv(x), `${variant} ${name} ${cols}`);
            matrix.dispose();
          }
        }
      }
    });

    t("every height of a tile", () => {
      const x = floats(1160, () => (rng.bits() & 1 ? 3 : -3));
      for (const [i, rows] of [5, 16, 21, 37, 53, 64, 69, 117].entries()) {
        const format = inTurn(formats, i);
        check(format, activation, x, extremeWeights(format, activation, x, rows), "+-3");
      }
    });

    t("every magnitude that an activation can have", () => {
      // x is an integer and the last one 127, so int8 keeps x as it is: whatever digits the kernels split it into, each
      // value of them fills the narrow sums once.
      const length = planes ? 2049 : 257;
      for (let value = 1; value <= 127; value += planes || activation === "int8" ? 1 : 21) {
        const x = floats(length, (k) => (k === length - 1 ? 127 : value));
        const format = inTurn(formats, value);
        check(format, activation, x, extremeWeights(format, activation, x, 5), `all ${value}`);
      }
    });

    t("table entries that all round outwards", () => {
      for (const [i, { name, alone, spread }] of outwardActivations(520).entries()) {
        const format = inTurn(formats, i);
        check(format, activation, alone, extremeWeights(format, activation, alone, 21), name);
        check(format, activation, spread, extremeWeights(format, activation, spread, 21), `${name}, spread`);
      }
    });

    t("100,000 columns", () => {
      if (!planes && activation === "f32") return; // the passes of int8
      const cols = 100_000;
      const vectors = {
        "all 1": floats(cols, () => 1),
        "+-1": floats(cols, (k) => (k % 3 === 0 ? -1 : 1)),
        // A sum that rounds the same way in every addition: in float32 it drifts unless it is kept in parts.
        "all 1/3": floats(cols, () => 1 / 3),
        gaussian: rng.gaussians(cols),
      };
      for (const [i, [name, x]] of Object.entries(vectors).entries()) {
        const format = inTurn(formats, i);
        for (const groupSize of groupSizes(formats, 1024)) {
          check(
            format,
            activation,
            x,
            extremeWeights(format, activation, x, 5, groupSize),
            `${name}, group ${groupSize}`,
          );
        }
      }
    });
  }
}

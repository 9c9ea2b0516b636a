// Every kernel against the oracle: each format, activation and variant, on shapes around every boundary of the layout.
// Split by format.

// Not public: the table of kernels, so that a kernel that is added is tested without a line here.
import { formatOf } from "../../src/kernels/formats.ts";
import { kernels } from "../../src/kernels/registry.ts";
import { equal, equalBits, equalValues, is, nmseBelow, ok, throwsWith } from "../lib/assert.ts";
import { type AnyWeights, groupSizeNear, testFormats } from "../lib/formats.ts";
import {
  type Activation,
  availableVariants,
  everyPair,
  expectation,
  type FormatName,
  type Lowbit,
  type Matrix,
  packMatrix,
  withMatrix,
} from "../lib/library.ts";
import { hostileActivations, hostileWeights, type Random, random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";
import { gemvExact } from "../reference/weights.ts";

// 16 rows are a strip, 64 a tile; 8 columns a byte, 512 a block of tables.
const allRows = [1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 131];
const someRows = [1, 33, 131];
const allCols = [
  ...[1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 63, 64, 65, 127, 128, 129],
  ...[255, 256, 257, 503, 511, 512, 513, 521, 1023, 1024, 1025, 1031],
];
const someCols = [1, 8, 61, 520];
const groupSizes = [8, 16, 24, 32, 64, 128, 512, 520];
const tokenCounts = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 129, 130];
// Dot products go by strips of 16 rows and by what their layout keeps together, so fewer shapes have a boundary.
const dotRows = [1, 15, 16, 17, 49, 64, 65, 131];
const dotTokens = [1, 2, 3, 7, 8, 9, 17, 33, 129];
const dotCols = (chunk: number): number[] => [
  ...new Set([1, chunk - 1, chunk, chunk + 1, 2 * chunk + 1, 7 * chunk, 127, 128, 129, 255, 257, 512, 520, 1031]),
];

interface Setup {
  format: FormatName;
  activation: Activation;
  /** One oracle serves all variants: computing it is what takes the time. */
  instances: { variant: string; lb: Lowbit }[];
  rng: Random;
}

/** gemv of one x, and gemm of n tokens of which the first is x, on every variant. */
function check(setup: Setup, weights: AnyWeights, n: number, label: string): void {
  const { rows, cols } = weights;
  const tokens = setup.rng.gaussians(n * cols);
  const tokenOf = (i: number): Float32Array => tokens.subarray(i * cols, (i + 1) * cols);
  const first = expectation(weights, setup.activation, tokenOf(0), setup.format);
  const last = expectation(weights, setup.activation, tokenOf(n - 1), setup.format);
  for (const { variant, lb } of setup.instances) {
    withMatrix(lb, setup.format, weights, setup.activation, (matrix) => {
      const where = `${variant} ${rows} x ${cols} group ${weights.groupSize}${label}`;
      first(matrix.gemv(tokenOf(0)), `gemv ${where}`);
      last(matrix.gemv(tokenOf(n - 1)), `gemv ${where}, last token`);
      checkGemm(matrix, tokens, n, where);
    });
  }
}

/** gemm is gemv of each token, bit for bit. */
function checkGemm(matrix: Matrix, tokens: Float32Array, n: number, where: string): void {
  const { rows, cols } = matrix;
  const y = matrix.gemm(tokens, n);
  is(y.length, n * rows);
  for (let i = 0; i < n; i++) {
    const expected = matrix.gemv(tokens.subarray(i * cols, (i + 1) * cols));
    equalBits(y.subarray(i * rows, (i + 1) * rows), expected, `gemm ${where}: token ${i} of ${n}`);
  }
}

// (module (func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0))))
const relaxedModule = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 6, 1, 0x60, 1, 0x7b, 1, 0x7b],
  ...[3, 2, 1, 0],
  ...[10, 11, 1, 9, 0, 0x20, 0, 0x20, 0, 0xfd, 0x80, 0x02, 0x0b],
]);

const { instances, missing } = await availableVariants();

const variants = suite("variants");
for (const { variant, reason } of missing) variants.skip(variant, reason);
for (const { variant, lb } of instances) {
  variants(`${variant} is what was asked for`, () => {
    is(lb.features.variant, variant);
    is(lb.features.relaxed, variant === "relaxed");
    is(lb.features.threads, 1);
  });
}
// A missing variant is a skip where the runtime does not have it. Where it has, it must be in use; except that V8 before
// 12 has a relaxed dot product twice too large in its first tier, behind a flag, which the library finds and refuses.
if (WebAssembly.validate(relaxedModule) && !(Number.parseInt(process.versions.v8 ?? "", 10) < 12)) {
  variants("relaxed SIMD is there", () => ok(instances.some(({ variant }) => variant === "relaxed")));
}
variants("plain SIMD is there", () => ok(instances.some(({ variant }) => variant === "simd")));

for (const { format, activation } of everyPair) {
  {
    const name = `${format} ${activation}`;
    const { levels, grouped, of, random: randomWeights } = testFormats[format];
    const t = suite(`kernels ${name}`);
    const setup: Setup = { format, activation, instances, rng: random(`kernels ${name}`) };
    const { rng } = setup;
    const { layout, chunk } = formatOf(format, activation);
    // bcq runs the kernels of binary.
    const planes = layout === "planes" && format !== "bcq";
    const counts = planes ? tokenCounts : dotTokens;

    t("shapes around every boundary", () => {
      let shape = 0;
      const one = (rows: number, cols: number): void => {
        // The number of tokens goes round by itself, so that shapes and tokens meet in many combinations.
        const n = counts[shape++ % counts.length] as number;
        check(setup, randomWeights(rows, cols, rng), n, "");
      };
      if (planes) {
        for (const rows of allRows) for (const cols of someCols) one(rows, cols);
        for (const cols of allCols) for (const rows of someRows) one(rows, cols);
      } else {
        for (const rows of dotRows) one(rows, 61);
        for (const cols of dotCols(chunk)) one(33, cols);
      }
    });

    t("group sizes, dividing the columns or not", () => {
      let shape = 0;
      if (!grouped) return;
      for (const groupSize of new Set(groupSizes.map((wanted) => groupSizeNear(format, activation, wanted)))) {
        for (const cols of planes ? [1, 8, 13, 64, 129, 520, 1031, 1600] : [13, 129, 1031]) {
          const rows = [1, 33, 80, 131][shape % 4] as number;
          const n = [3, 17][shape++ % 2] as number;
          check(setup, randomWeights(rows, cols, rng, groupSize), n, "");
        }
      }
    });

    t("numbers of tokens", () => {
      for (const n of counts) {
        check(setup, randomWeights(65, 129, rng, grouped ? 64 : undefined), n, ` ${n} tokens`);
        check(setup, randomWeights(17, 515, rng), n, ` ${n} tokens`);
      }
    });

    t("few tokens on matrices larger than a cache tile", () => {
      check(setup, randomWeights(planes ? 200 : 70, 8200, rng), 3, "");
      if (planes) check(setup, randomWeights(130, 17000, rng, grouped ? 512 : undefined), 5, "");
    });

    t("hostile activations and weights", () => {
      for (const [rows, cols, groupSize] of [
        [33, 521, undefined],
        [48, 72, grouped ? groupSizeNear(format, activation, 24) : undefined],
        [5, 7, undefined],
      ] as const) {
        const groups = Math.ceil(cols / (groupSize ?? cols));
        // Infinity is a right answer for int8 and lut8, and the same one everywhere; f32 has no contract beyond range.
        const vectors = hostileActivations(cols, rng).filter(
          ({ x }) => activation !== "f32" || x.every((value) => Math.abs(value) < 1e30),
        );
        const tokens = new Float32Array(vectors.length * cols);
        vectors.forEach(({ x }, i) => {
          tokens.set(x, i * cols);
        });
        for (const { name: weightName, codes } of hostileWeights(rows, cols, levels, rng)) {
          const weights = of(rows, cols, codes, rng.gaussians(rows * groups), groupSize);
          const expected = vectors.map(({ x }) => expectation(weights, activation, x, format));
          for (const { variant, lb } of instances) {
            withMatrix(lb, format, weights, activation, (matrix) => {
              vectors.forEach(({ name: vectorName, x }, i) => {
                expected[i]?.(matrix.gemv(x), `${variant} ${rows} x ${cols}: x ${vectorName}, w ${weightName}`);
              });
              // All of them as the tokens of one gemm: no token may disturb its neighbour.
              checkGemm(matrix, tokens, vectors.length, `${variant} hostile, w ${weightName}`);
            });
          }
        }
      }
    });

    t("scales of any size, of one sign or the other, and zero", () => {
      const rows = 20;
      const cols = 40;
      const sets: Record<string, Float32Array> = {
        tiny: rng.uniforms(rows * 5, 1e-38),
        huge: rng.uniforms(rows * 5, 1e30),
        zero: new Float32Array(rows * 5),
        "negative zero": new Float32Array(rows * 5).fill(-0),
        matrix: rng.uniforms(1),
        rows: rng.uniforms(rows),
      };
      if (!grouped) return;
      const groupSize = groupSizeNear(format, activation, 8);
      const groups = Math.ceil(cols / groupSize);
      for (const [label, scales] of Object.entries(sets)) {
        const codes = Array.from({ length: rows * cols }, () => levels[rng.int(0, levels.length - 1)] as number);
        const some = scales.length <= rows ? scales : scales.subarray(0, rows * groups);
        check(setup, of(rows, cols, codes, some, groupSize), 9, ` scales ${label}`);
      }
    });

    t("blocks of columns far below the largest", () => {
      // The first 512 columns have the largest x and a scale of 0, so that what the others leave is to be seen.
      if (!grouped) return;
      const scales = new Float32Array(40).map((_, i) => i % 2);
      const codes = Array.from({ length: 20 * 1024 }, () => levels[rng.int(0, 1)] as number);
      const weights = of(20, 1024, codes, scales, 512);
      for (const size of [2 ** -4, 2 ** -9, 2 ** -11, 2 ** -24, 1e-10, 1e-20, 1e-35, 1e-40]) {
        const x = new Float32Array(1024);
        x[3] = 1;
        x[700] = size;
        const expected = expectation(weights, activation, x, format);
        for (const { variant, lb } of instances) {
          withMatrix(lb, format, weights, activation, (matrix) => expected(matrix.gemv(x), `${variant} ${size}`));
        }
      }
    });

    t("zero activations give zeros", () => {
      const weights = randomWeights(70, 100, rng);
      for (const { lb } of instances) {
        withMatrix(lb, format, weights, activation, (matrix) => {
          equalValues(matrix.gemv(new Float32Array(100)), new Float32Array(70), "gemv");
          equalValues(matrix.gemm(new Float32Array(2000), 20), new Float32Array(1400), "gemm");
        });
      }
    });

    t("writes to out, all of it and nothing else", () => {
      const rows = 50;
      const cols = 30;
      const weights = randomWeights(rows, cols, rng);
      for (const { variant, lb } of instances) {
        withMatrix(lb, format, weights, activation, (matrix) => {
          for (const n of [1, 3, 20]) {
            const x = rng.gaussians(n * cols);
            const expected = matrix.gemm(x, n);
            // A window in a larger buffer, full of NaN, at an address that is no multiple of 16.
            const frame = new Float32Array(n * rows + 10).fill(NaN);
            const out = frame.subarray(5, 5 + n * rows);
            ok(matrix.gemm(x, n, out) === out, "gemm returns out");
            equalBits(out, expected, `${variant} gemm out`);
            ok(frame.subarray(0, 5).every(Number.isNaN) && frame.subarray(5 + n * rows).every(Number.isNaN));
          }
          const x = rng.gaussians(cols + 3).subarray(3);
          const before = x.slice();
          const out = new Float32Array(rows).fill(NaN);
          ok(matrix.gemv(x, out) === out, "gemv returns out");
          equalBits(out, matrix.gemv(before), `${variant} gemv out`);
          equalBits(x, before, "x is left alone");
        });
      }
    });

    t("keeps nothing between calls", () => {
      const small = randomWeights(3, 9, rng);
      const large = randomWeights(131, 1031, rng);
      const xs = rng.gaussians(9);
      const xl = rng.gaussians(1031).map((value) => value * 1e3);
      const expectSmall = expectation(small, activation, xs, format);
      const expectLarge = expectation(large, activation, xl, format);
      for (const { variant, lb } of instances) {
        const a = packMatrix(lb, format, small, activation);
        const b = packMatrix(lb, format, large, activation);
        for (let round = 0; round < 3; round++) {
          expectLarge(b.gemv(xl), `${variant} large`);
          b.gemm(rng.gaussians(1031 * 16), 16);
          expectSmall(a.gemv(xs), `${variant} small`);
        }
        a.dispose();
        expectLarge(b.gemv(xl), `${variant} after its neighbour is gone`);
        b.dispose();
      }
    });

    t("names its kernels", () => {
      for (const { lb } of instances) {
        withMatrix(lb, format, randomWeights(4, 8, rng), activation, (matrix) => {
          ok(matrix.kernel.startsWith(`gemv_${format}_${activation}_`), matrix.kernel);
          ok(
            format.startsWith(matrix.format) || matrix.format.startsWith(format.split(/[_\d]/)[0] as string),
            matrix.format,
          );
          is(matrix.rows, 4);
          is(matrix.cols, 8);
        });
      }
    });

    const bound = { int8: 1e-3, lut8: 2e-4, f32: 1e-10 }[activation];
    t(`is within an NMSE of ${bound} of the product without rounding`, () => {
      // A fixed seed: the bound of lut8 holds in the mean, and an unlucky x of few columns can miss it.
      const fixed = random(`nmse ${name}`, 1);
      const weights = randomWeights(128, 4096, fixed);
      const x = fixed.gaussians(4096);
      const exact = gemvExact(weights, x);
      for (const { variant, lb } of instances) {
        withMatrix(lb, format, weights, activation, (matrix) => nmseBelow(matrix.gemv(x), exact, bound, variant));
      }
    });
  }
}

/** Bit planes, whose operands have types of their own, complex weights, companded vectors and numbers as they are. */
const ELSEWHERE = ["bitplane", "complex", "glvq", "dense32", "dense16", "denseb16"];
const isTested = (format: string): format is FormatName => format in testFormats;

const forced = suite("kernels asked for by name");
forced("every format has a case.ts, or tests of its own", () => {
  const formats = [...new Set(kernels.map(({ format }) => format as string))];
  equal(formats.filter((format) => !isTested(format)).sort(), [...ELSEWHERE].sort());
});
for (const kernel of kernels) {
  const { format, activation } = kernel;
  if (!isTested(format) || activation === "bits") continue;
  const { grouped, random: randomWeights } = testFormats[format];
  const sample = () => {
    const rng = random(`forced ${kernel.name}`);
    return { weights: randomWeights(131, 521, rng, grouped ? 64 : undefined), x: rng.gaussians(20 * 521) };
  };
  for (const { variant, lb } of instances) {
    if (kernel.needs === "relaxed" && variant === "simd") {
      forced(`${kernel.name} is refused by simd`, () => {
        const pack = (): Matrix => packMatrix(lb, format, sample().weights, activation, kernel.name);
        throwsWith(pack, RangeError, `: kernel: expected "gemv_`);
      });
      continue;
    }
    forced(`${kernel.name} on ${variant}`, () => {
      const { weights, x } = sample();
      const first = x.subarray(0, 521);
      const expected = expectation(weights, activation, first, format);
      const matrix = packMatrix(lb, format, weights, activation, kernel.name);
      is(kernel.op === "gemv" ? matrix.kernel : matrix.gemmKernel, kernel.name);
      expected(matrix.gemv(first), kernel.name);
      checkGemm(matrix, x, 20, kernel.name);
      matrix.dispose();
    });
  }
}

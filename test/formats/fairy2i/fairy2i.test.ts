// Fairy2i: real matrices as sums of complex planes, against the oracle.

// Not public: the table of kernels.
import { kernels } from "../../../src/kernels/registry.ts";
import { equal, equalBits, equalValues, is, nmse, nmseBelow, ok, throwsWith } from "../../lib/assert.ts";
import {
  type Activation,
  activations,
  availableVariants,
  type Branches,
  complex,
  fairy2i,
  type Matrix,
} from "../../lib/library.ts";
import { hostileActivations, type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { addBranches, scaleColumns } from "../../reference/branch.ts";
import {
  type Complex,
  type ComplexWeights,
  fairy2iWeights,
  foldReal,
  gemvComplexInt8,
  gemvComplexLut8,
  joinReal,
  quantizeFairy2i,
} from "../../reference/complex.ts";
import {
  expectation,
  type GivenPlane,
  granularities,
  packFairy2i,
  randomPlane,
  type Shape,
  scaleCount,
} from "../complex/matrices.ts";

const { instances, missing } = await availableVariants();

const t = suite("fairy2i");
for (const { variant, reason } of missing) t.skip(variant, reason);

/** U and W of each stage in turn; rows and cols are those of the complex matrices. */
interface Case extends Shape {
  planes: GivenPlane[];
}

function randomCase(shape: Shape, stages: number, rng: Random): Case {
  return { ...shape, planes: Array.from({ length: 2 * stages }, () => randomPlane(shape, rng)) };
}

function weightsOf({ rows, cols, groupSize, granularity, planes }: Case): ComplexWeights {
  const stages = Array.from({ length: planes.length / 2 }, (_, i) => {
    return { u: planes[2 * i] as GivenPlane, w: planes[2 * i + 1] as GivenPlane };
  });
  return fairy2iWeights(stages, 2 * rows, 2 * cols, groupSize, granularity === "tile");
}

const pack = (lb: Parameters<typeof packFairy2i>[0], given: Case, activation: Activation, kernel?: string): Matrix =>
  packFairy2i(lb, given, given.planes, activation, kernel);

/** What gemv of a real x must give. */
function expected(given: Case, activation: Activation, x: Float32Array): (y: Float32Array, label: string) => void {
  const check = expectation(weightsOf(given), activation, foldReal(x), true);
  return (y, label) => check(foldReal(y), label);
}

function checkGemm(matrix: Matrix, x: Float32Array, n: number, label: string): void {
  const { rows, cols } = matrix;
  const y = matrix.gemm(x, n);
  is(y.length, n * rows);
  for (let i = 0; i < n; i++) {
    const alone = matrix.gemv(x.subarray(i * cols, (i + 1) * cols));
    equalBits(y.subarray(i * rows, (i + 1) * rows), alone, `${label}: token ${i} of ${n}`);
  }
}

function check(given: Case, activation: Activation, n: number, rng: Random, kernel?: string): void {
  const cols = 2 * given.cols;
  const x = rng.gaussians(n * cols);
  const first = expected(given, activation, x.subarray(0, cols));
  const last = expected(given, activation, x.subarray((n - 1) * cols));
  const relaxed = kernels.find(({ name }) => name === kernel)?.needs === "relaxed";
  for (const { variant, lb } of instances) {
    if (relaxed && variant === "simd") continue;
    const matrix = pack(lb, given, activation, kernel);
    const label = `${variant} ${kernel ?? activation}, ${given.rows} x ${cols} ${given.granularity} ${given.groupSize}`;
    first(matrix.gemv(x.subarray(0, cols)), label);
    last(matrix.gemv(x.subarray((n - 1) * cols)), `${label}, last token`);
    checkGemm(matrix, x, n, label);
    matrix.dispose();
  }
}

for (const activation of activations) {
  const rng = random(`fairy2i ${activation}`);

  t(`${activation}: one to four stages on shapes around every boundary`, () => {
    const sizes: [number, number][] = [];
    for (const rows of [1, 15, 16, 17, 33, 63, 64, 65, 131]) sizes.push([rows, 72]);
    for (const cols of [1, 7, 8, 9, 63, 64, 65, 127, 256, 257, 513, 1031]) sizes.push([18, cols]);
    for (const [i, [rows, cols]] of sizes.entries()) {
      const granularity = granularities[i % 4] as Shape["granularity"];
      const groupSize = granularity === "group" || granularity === "tile" ? [8, 24, 64, 512][(i >> 2) % 4] : undefined;
      for (const stages of [1 + (i % 4), 1 + ((i + 2) % 4)]) {
        const n = [1, 2, 7, 9, 17][(i + stages) % 5] as number;
        check(randomCase({ rows, cols, groupSize, granularity }, stages, rng), activation, n, rng);
      }
    }
  });

  t(`${activation}: kernels by name`, () => {
    for (const { name } of kernels.filter((k) => k.format === "complex" && k.activation === activation)) {
      for (const granularity of ["matrix", "group"] as const) {
        const shape: Shape = { rows: 67, cols: 265, granularity, ...(granularity === "group" && { groupSize: 64 }) };
        check(randomCase(shape, 3, rng), activation, 20, rng, name);
      }
    }
  });

  t(`${activation}: a matrix larger than a cache tile, and many tokens`, () => {
    check(randomCase({ rows: 200, cols: 4100, granularity: "matrix" }, 2, rng), activation, 3, rng);
    check(randomCase({ rows: 20, cols: 100, granularity: "row" }, 2, rng), activation, 130, rng);
  });

  t(`${activation}: planes of scales of unlike granularity`, () => {
    const [rows, cols] = [19, 100];
    for (const granularity of ["group", "row"] as const) {
      const groupSize = granularity === "group" ? 32 : undefined;
      const shared: Shape = { rows, cols, groupSize, granularity: granularity === "group" ? "tile" : "matrix" };
      const own: Shape = { rows, cols, groupSize, granularity };
      const planes = [shared, own, own, shared].map((shape) => randomPlane(shape, rng));
      // The oracle has all of them a row.
      const count = scaleCount(own);
      const expand = (values: Float32Array): Float32Array =>
        Float32Array.from({ length: count }, (_, i) => values[i % values.length] as number);
      const whole = planes.map(({ codes, scales }) => {
        return { codes, scales: { re: expand(scales.re), im: expand(scales.im) } };
      });
      const x = rng.gaussians(2 * cols);
      const right = expected({ ...own, planes: whole }, activation, x);
      for (const { lb } of instances) {
        const matrix = packFairy2i(lb, own, planes, activation);
        right(matrix.gemv(x), granularity);
        matrix.dispose();
      }
    }
  });

  t(`${activation}: hostile activations`, () => {
    const given = randomCase({ rows: 17, cols: 130, granularity: "row" }, 2, rng);
    for (const { name, x } of hostileActivations(260, rng)) {
      if (activation === "f32" && x.some((value) => Math.abs(value) > 1e30)) continue;
      const right = expected(given, activation, x);
      for (const { variant, lb } of instances) {
        const matrix = pack(lb, given, activation);
        right(matrix.gemv(x), `${variant}: ${name}`);
        checkGemm(matrix, Float32Array.from([...x, ...x, ...x]), 3, `${variant}: ${name}`);
        matrix.dispose();
      }
    }
  });

  t(`${activation}: with branches it is the product, then the branches`, () => {
    for (const [rows, cols, stages] of [
      [3, 4, 1],
      [33, 65, 2],
      [64, 260, 3],
    ] as const) {
      const given = randomCase({ rows, cols, granularity: "matrix" }, stages, rng);
      const all = randomBranches(2 * rows, 2 * cols, rng);
      for (const names of [["bias"], ["colScale"], ["lowRank"], ["sparse"], Object.keys(all)]) {
        const branches = Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name))) as Branches;
        const x = rng.gaussians(9 * 2 * cols);
        const first = x.subarray(0, 2 * cols);
        const scaled = branches.colScale ? scaleColumns(first, branches.colScale) : first;
        for (const { variant, lb } of instances) {
          const label = `${variant} ${2 * rows} x ${2 * cols} ${names}`;
          const bare = pack(lb, given, activation);
          const product = bare.gemv(scaled);
          const matrix = bare.with(branches);
          is(matrix.format, "fairy2i");
          const y = matrix.gemv(first);
          equalValues(y, addBranches(oracle(given, activation, scaled) ?? product, branches, first), label);
          checkGemm(matrix, x, 9, label);
          // Against float64, of what the matrix says that it is.
          const dense = matrix.dequantize();
          const exact = Float64Array.from({ length: 2 * rows }, (_, r) => {
            const sum = first.reduce((before, v, k) => before + v * (dense[r * 2 * cols + k] as number), 0);
            return sum + (branches.bias?.[r] ?? 0);
          });
          // Columns scaled down are coarser: the bound of the activation holds for columns alike.
          const bound = { int8: 1e-2, lut8: 1e-2, f32: 1e-9 }[activation];
          nmseBelow(y, exact, bound, `${label}: float64`);
          matrix.dispose();
        }
      }
    }
  });

  t(`${activation}: quantize is the oracle's quantiser`, async () => {
    for (const [rows, cols] of [
      [2, 2],
      [34, 70],
      [130, 258],
    ] as const) {
      const a = rng.gaussians(rows * cols);
      const x = rng.gaussians(cols);
      for (const stages of [1, 2, 3, 4]) {
        for (const ties of ["sector", "imaginary"] as const) {
          const found = quantizeFairy2i(a, rows, cols, stages, ties);
          const weights = fairy2iWeights(found, rows, cols);
          const right = expectation(weights, activation, foldReal(x), true);
          for (const { lb } of instances) {
            const options = { rows, cols, stages, ties, activation };
            for (const matrix of [fairy2i.quantize(lb, a, options), await fairy2i.quantizeAsync(lb, a, options)]) {
              right(foldReal(matrix.gemv(x)), `${rows} x ${cols}, ${stages} stages, ${ties}`);
              equalValues(matrix.dequantize(), joined(weights, rows, cols), "dequantised");
              matrix.dispose();
            }
          }
        }
      }
    }
  });
}

function oracle(given: Case, activation: Activation, x: Float32Array): Float32Array | undefined {
  if (activation === "f32") return undefined;
  const weights = weightsOf(given);
  const folded = foldReal(x);
  const { re, im } = activation === "int8" ? gemvComplexInt8(weights, folded, true) : gemvComplexLut8(weights, folded);
  return Float32Array.from([...re, ...im]);
}

function randomBranches(rows: number, cols: number, rng: Random): Required<Branches> {
  const rank = rng.int(1, 9);
  const pointers = Uint32Array.from({ length: rows + 1 }, (_, r) => (r < 2 ? r : r - 1));
  return {
    bias: rng.gaussians(rows),
    colScale: Float32Array.from({ length: cols }, () => rng.uniform() + 0.5),
    lowRank: { a: rng.gaussians(rows * rank), b: rng.gaussians(rank * cols) },
    sparse: {
      rows: pointers,
      cols: Uint32Array.from({ length: rows - 1 }, () => rng.int(0, cols - 1)),
      values: rng.gaussians(rows - 1),
    },
  };
}

/** The real matrix of all planes: U and W are the sums of theirs. */
function joined(weights: ComplexWeights, rows: number, cols: number): Float32Array {
  const half = { rows: rows / 2, cols: cols / 2 };
  const length = half.rows * half.cols;
  const sums = [0, 1].map((): Complex<Float64Array> => {
    return { re: new Float64Array(length), im: new Float64Array(length) };
  }) as [Complex<Float64Array>, Complex<Float64Array>];
  for (const [p, { codes, scales }] of weights.planes.entries()) {
    const { re, im } = sums[p % 2] as Complex<Float64Array>;
    for (let i = 0; i < length; i++) {
      const group = Math.floor(i / half.cols) * weights.groups + Math.floor((i % half.cols) / weights.groupSize);
      const code = codes[i] as number;
      const sign = code < 2 ? 1 : -1;
      if (code % 2 === 0) re[i] = (re[i] as number) + sign * (scales.re[group] as number);
      else im[i] = (im[i] as number) + sign * (scales.im[group] as number);
    }
  }
  return Float32Array.from(joinReal(...sums, rows, cols));
}

t("dequantize is the real matrix of the stages", () => {
  const rng = random("fairy2i dequantize");
  for (const granularity of granularities) {
    const groupSize = granularity === "group" || granularity === "tile" ? 16 : undefined;
    for (const stages of [1, 2, 4]) {
      const given = randomCase({ rows: 35, cols: 50, groupSize, granularity }, stages, rng);
      const dense = joined(weightsOf(given), 70, 100);
      for (const { lb } of instances) {
        const matrix = pack(lb, given, "int8");
        // Sums of float64 in another order.
        const found = matrix.dequantize();
        nmseBelow(found, dense, 1e-14, granularity);
        if (stages === 1) equalValues(found, dense, granularity);
        matrix.dispose();
      }
    }
  }
});

t("a matrix of {±1, ±i} blocks by hand", () => {
  // A = [a -b; b a] is the complex number a + bi, and W is 0 but for its least scale.
  const w = Float32Array.of(0, -3, 3, 0);
  for (const { lb } of instances) {
    const matrix = fairy2i.quantize(lb, w, { rows: 2, cols: 2, stages: 1, activation: "f32" });
    const y = matrix.gemv(Float32Array.of(2, 5));
    nmseBelow(y, [-15, 6], 1e-10, "3i (2 + 5i)");
    matrix.dispose();
  }
});

t("more stages come nearer", () => {
  const rng = random("fairy2i stages", 1);
  const [rows, cols] = [128, 256];
  const a = rng.gaussians(rows * cols);
  for (const { lb } of instances) {
    const errors = [1, 2, 3, 4].map((stages) => {
      const matrix = fairy2i.quantize(lb, a, { rows, cols, stages });
      const error = nmse(matrix.dequantize(), a);
      matrix.dispose();
      return error;
    });
    for (let i = 1; i < 4; i++) ok((errors[i] as number) < 0.6 * (errors[i - 1] as number), errors.join());
  }
});

t("says what it is, one bit a weight and stage", () => {
  const rng = random("fairy2i labels");
  const a = rng.gaussians(1024 * 1024);
  for (const { lb } of instances) {
    for (const stages of [undefined, 1, 4]) {
      const count = stages ?? 2;
      const matrix = fairy2i.quantize(lb, a, { rows: 1024, cols: 1024, ...(stages !== undefined && { stages }) });
      equal([matrix.format, matrix.rows, matrix.cols, matrix.activation], ["fairy2i", 1024, 1024, "int8"]);
      ok(matrix.kernel.startsWith("gemv_complex_int8_"), matrix.kernel);
      // 2 planes a stage with 2 scales, stored for 64 rows.
      is(matrix.bitsPerWeight, count + (count * 4 * 64 * 32) / 1024 ** 2);
      ok(matrix.bitsPerWeight < count * 1.02);
      matrix.dispose();
    }
  }
});

t("writes to out, all of it and nothing else", () => {
  const rng = random("fairy2i out");
  const given = randomCase({ rows: 25, cols: 15, granularity: "row" }, 2, rng);
  for (const { variant, lb } of instances) {
    for (const activation of activations) {
      const matrix = pack(lb, given, activation);
      for (const n of [1, 3, 20]) {
        const x = rng.gaussians(n * 30);
        const before = x.slice();
        const right = matrix.gemm(x, n);
        const frame = new Float32Array(n * 50 + 10).fill(NaN);
        const out = frame.subarray(5, 5 + n * 50);
        ok(matrix.gemm(x, n, out) === out);
        equalBits(out, right, `${variant} out`);
        equalBits(x, before, `${variant} x`);
        ok(frame.subarray(0, 5).every(Number.isNaN) && frame.subarray(-5).every(Number.isNaN));
      }
      matrix.dispose();
    }
  }
});

t("is complex.pack's product where W is next to nothing", () => {
  const rng = random("fairy2i and complex");
  const [rows, cols] = [20, 40];
  const u = randomPlane({ rows, cols, granularity: "row" }, rng);
  const tiny = new Float32Array(rows).fill(1e-38);
  const w = { codes: u.codes, scales: { re: tiny, im: tiny } };
  const x = rng.gaussians(2 * cols);
  for (const { lb } of instances) {
    const pair = fairy2i.pack(lb, { rows: 2 * rows, cols: 2 * cols, stages: [{ u, w }], activation: "lut8" });
    const alone = complex.pack(lb, { rows, cols, ...u, activation: "lut8" });
    const y = alone.gemv(foldReal(x));
    nmseBelow(pair.gemv(x), Float32Array.from([...y.re, ...y.im]), 1e-12, "lut8");
    pair.dispose();
    alone.dispose();
  }
});

t("dispose gives the memory back, and using it then throws", () => {
  const rng = random("fairy2i dispose");
  const given = randomCase({ rows: 33, cols: 50, granularity: "row" }, 2, rng);
  for (const { lb } of instances) {
    const first = pack(lb, given, "int8");
    first.gemv(new Float32Array(100));
    first.dispose();
    const { used } = lb.memory;
    const matrix = pack(lb, given, "int8");
    ok(lb.memory.used >= used + matrix.byteLength);
    matrix.dispose();
    matrix.dispose();
    is(lb.memory.used, used);
    throwsWith(() => matrix.gemv(new Float32Array(100)), TypeError, "fairy2i.gemv: this fairy2i matrix (66 x 100) was");
  }
});

// Weights as they are: against float64, and one token or many the same bits.
import { type DenseType, dense, type Float16ArrayLike, type Lowbit, type Matrix } from "../../../src/index.ts";
import { equalBits, is, ok, throwsWith } from "../../lib/assert.ts";
import { availableVariants } from "../../lib/library.ts";
import { hostileActivations, type Random, random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { bfloat16Value, denseProduct, halfValue } from "../../reference/dense.ts";

const types: readonly DenseType[] = ["float32", "float16", "bfloat16"];
const { instances, missing } = await availableVariants();

/** Finite bits: float16 from denormals to 65504; bfloat16 and float32 around 1, of either sign. */
function randomWeights(
  type: DenseType,
  length: number,
  rng: Random,
): { given: Float32Array | Uint16Array; w: number[] } {
  if (type === "float32") {
    const given = rng.gaussians(length);
    return { given, w: Array.from(given) };
  }
  const given = Uint16Array.from({ length }, () =>
    type === "float16" ? (rng.int(0, 1) << 15) | rng.int(0, 0x7bff) : (rng.int(0, 1) << 15) | rng.int(0x3d00, 0x4180),
  );
  return { given, w: Array.from(given, type === "float16" ? halfValue : bfloat16Value) };
}

function pack(lb: Lowbit, type: DenseType, rows: number, cols: number, given: Float32Array | Uint16Array): Matrix {
  return dense.pack(lb, { rows, cols, weights: given, ...(type !== "float32" && { type }) });
}

function near(actual: Float32Array, w: number[], rows: number, cols: number, x: Float32Array, label: string): void {
  const { y, power } = denseProduct(w, rows, cols, x);
  let error = 0;
  for (let row = 0; row < rows; row++) {
    error += Math.max(0, Math.abs((actual[row] as number) - (y[row] as number)) - 2 ** -148) ** 2;
  }
  ok(error <= 1e-12 * power, `${label}: error ${error} of ${power}`);
}

for (const type of types) {
  const t = suite(`dense ${type}`);
  const rng = random(`dense ${type}`);
  for (const { variant, reason } of missing) t.skip(variant, reason);

  t("shapes around every boundary, of 1 to 130 tokens", () => {
    const shapes = [
      ...[1, 15, 16, 17, 31, 33, 64, 65, 131].map((rows) => [rows, 61]),
      ...[1, 2, 15, 16, 17, 255, 256, 257, 511, 512, 513, 1031].map((cols) => [33, cols]),
    ] as [number, number][];
    const counts = [1, 2, 3, 8, 9, 128, 129, 130];
    for (const [i, [rows, cols]] of shapes.entries()) {
      const { given, w } = randomWeights(type, rows * cols, rng);
      const n = counts[i % counts.length] as number;
      const x = rng.gaussians(n * cols);
      const results = instances.map(({ variant, lb }) => {
        using matrix = pack(lb, type, rows, cols, given);
        const y = matrix.gemm(x, n);
        for (let token = 0; token < n; token++) {
          const xs = x.subarray(token * cols, (token + 1) * cols);
          const ys = y.subarray(token * rows, (token + 1) * rows);
          equalBits(matrix.gemv(xs), ys, `${variant} ${rows} x ${cols}: token ${token} of ${n}`);
          if (token === 0 || token === n - 1) near(ys, w, rows, cols, xs, `${variant} ${rows} x ${cols}`);
        }
        return y;
      });
      for (const y of results) equalBits(y, results[0] as Float32Array, `${rows} x ${cols}: variants`);
    }
  });

  t("activations that others stumble over", () => {
    const [rows, cols] = [17, 300];
    const { given, w } = randomWeights(type, rows * cols, rng);
    for (const { lb } of instances) {
      using matrix = pack(lb, type, rows, cols, given);
      for (const { name, x } of hostileActivations(cols, rng)) {
        // The sum itself may be beyond float32.
        if (name === "the largest float32" || name === "1e38") continue;
        near(matrix.gemv(x), w, rows, cols, x, name);
      }
    }
  });

  t("weights come back, and their sizes are true", () => {
    const [rows, cols] = [35, 21];
    const { given, w } = randomWeights(type, rows * cols, rng);
    for (const { lb } of instances) {
      using matrix = pack(lb, type, rows, cols, given);
      equalBits(matrix.dequantize(), Float32Array.from(w), type);
      is(matrix.byteLength, 48 * 32 * (type === "float32" ? 4 : 2));
      is(matrix.format, "dense");
      is(matrix.activation, "f32");
    }
  });

  t("branches", () => {
    const [rows, cols] = [20, 40];
    const { given, w } = randomWeights(type, rows * cols, rng);
    const bias = rng.gaussians(rows);
    const x = rng.gaussians(3 * cols);
    for (const { lb } of instances) {
      using matrix = pack(lb, type, rows, cols, given).with({ bias });
      const y = matrix.gemm(x, 3);
      for (let token = 0; token < 3; token++) {
        const xs = x.subarray(token * cols, (token + 1) * cols);
        const ys = y.subarray(token * rows, (token + 1) * rows);
        equalBits(matrix.gemv(xs), ys, `token ${token}`);
        const extended = w.flatMap((v, i) => (i % cols === cols - 1 ? [v, bias[Math.floor(i / cols)] as number] : [v]));
        near(ys, extended, rows, cols + 1, Float32Array.of(...xs, 1), `token ${token}`);
      }
    }
  });
}

const t = suite("dense");
const { lb } = instances[0] as { lb: Lowbit };

t("every finite float16", () => {
  const given = Uint16Array.from({ length: 65536 }, (_, i) => ((i & 0x7c00) === 0x7c00 ? 0 : i));
  using matrix = dense.pack(lb, { rows: 65536, cols: 1, weights: given, type: "float16" });
  const expected = Float32Array.from(given, halfValue).map((v) => v + 0);
  equalBits(matrix.gemv(Float32Array.of(1)), expected, "gemv");
});

t("numbers stay what they are: float16 and bfloat16 by their dtype, and float32 where it is asked for", () => {
  const [rows, cols] = [3, 5];
  for (const dtype of ["float32", "float16", "bfloat16"] as const) {
    const { given, w } = randomWeights(dtype, rows * cols, random(`dense dtype ${dtype}`));
    const shared = new Uint16Array(new SharedArrayBuffer(2 * rows * cols));
    if (given instanceof Uint16Array) shared.set(given);
    const Float16Array = Reflect.get(globalThis, "Float16Array") as { new (buffer: ArrayBufferLike): Float16ArrayLike };
    const forms = [
      { dtype, data: given },
      { dtype, data: new Uint8Array(given.buffer.slice(0) as ArrayBuffer) },
      ...(dtype === "float16" && Float16Array !== undefined ? [new Float16Array(given.buffer)] : []),
    ];
    for (const weights of forms) {
      for (const type of [undefined, dtype, "float32"] as const) {
        using matrix = dense.pack(lb, { rows, cols, weights, ...(type && { type }) });
        equalBits(matrix.dequantize(), Float32Array.from(w), `${dtype} as ${type}`);
        is(matrix.byteLength, 16 * 16 * ((type ?? dtype) === "float32" ? 4 : 2));
      }
    }
    if (dtype === "float32") continue;
    using matrix = dense.pack(lb, { rows, cols, weights: shared, type: dtype });
    equalBits(matrix.dequantize(), Float32Array.from(w), `${dtype} of shared memory`);
    const other = dtype === "float16" ? "bfloat16" : "float16";
    throwsWith(
      () => dense.pack(lb, { rows, cols, weights: { dtype, data: given }, type: other }),
      RangeError,
      `dense.pack: type: expected "${dtype}" | "float32"`,
    );
  }
});

t("wrong arguments", () => {
  const weights = new Float32Array(6);
  const { used } = lb.memory;
  throwsWith(() => dense.pack(lb, { rows: 2, cols: 4, weights }), RangeError, "dense.pack: weights: expected length 8");
  throwsWith(() => dense.pack(lb, { rows: 2, cols: 3, weights: new Uint16Array(6) }), TypeError, "dense.pack: type");
  throwsWith(
    () => dense.pack(lb, { rows: 2, cols: 3, weights, type: "bfloat16" }),
    RangeError,
    'dense.pack: type: expected "float32"',
  );
  const half = Uint16Array.of(0, 0x7c00);
  throwsWith(
    () => dense.pack(lb, { rows: 1, cols: 2, weights: half, type: "float16" }),
    RangeError,
    "finite float16 weights, got 0x7c00 at index 1",
  );
  throwsWith(
    () => dense.pack(lb, { rows: 1, cols: 2, weights: Float32Array.of(1, Number.NaN) }),
    RangeError,
    "finite weights, got NaN at index 1",
  );
  const more = { rows: 2, cols: 3, weights, typ: "float32" } as Parameters<typeof dense.pack>[1];
  throwsWith(() => dense.pack(lb, more), TypeError, "typ");
  using matrix = dense.pack(lb, { rows: 2, cols: 3, weights });
  throwsWith(() => matrix.gemv(Float32Array.of(1, Number.NaN, 0)), RangeError, "NaN at index 1");
  matrix.dispose();
  is(lb.memory.used, Math.max(used, lb.memory.used));
});

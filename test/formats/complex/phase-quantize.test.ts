// From complex floats to codes by phase, and from real ones to the stages of Fairy2i, against the oracle, bit for bit.
import {
  COMPLEX_SCALES,
  type ComplexCodes,
  FAIRY2I_LEAST,
  type Fairy2iStage,
  fairy2iStages,
  IFAIRY_LEAST,
  type PhaseOptions,
  phaseCodes,
  TIES,
} from "../../../src/formats/complex/quantize.ts";
import type { ComplexArray } from "../../../src/lib/complex-array.ts";
import { runAsync, runNow } from "../../../src/lib/progress.ts";
import { equalBits, is, nmseBelow, ok, rejectsWith, throwsWith } from "../../lib/assert.ts";
import { finish, hostileWeights } from "../../lib/quantisers.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { joinReal, quantizeFairy2i, quantizePhase, splitReal } from "../../reference/complex.ts";

const rng = random("phase-quantize");
const f32 = Math.fround;

type Shape = [rows: number, cols: number, groupSize: number];

function equalCodes(actual: ComplexCodes, expected: ComplexCodes, label: string): void {
  equalBits(actual.codes, expected.codes, `${label}: codes`);
  equalBits(actual.scales.re, expected.scales.re, `${label}: scales.re`);
  equalBits(actual.scales.im, expected.scales.im, `${label}: scales.im`);
}

/** Every rule for ties and every granularity. */
function check(w: ComplexArray, [rows, cols, groupSize]: Shape, least: number, label: string): void {
  for (const ties of TIES) {
    for (const scale of COMPLEX_SCALES) {
      const found = finish(phaseCodes("f", w, { rows, cols, groupSize }, { scale, ties, least }));
      const expected = quantizePhase(w, rows, cols, { groupSize: Math.min(groupSize, cols), scale, ties, least });
      equalCodes(found, expected, `${label}, ${ties}, ${scale}`);
    }
  }
}

const gaussians = (length: number): ComplexArray => ({ re: rng.gaussians(length), im: rng.gaussians(length) });
const complex = (...values: [number, number][]): ComplexArray => ({
  re: Float32Array.from(values, ([re]) => re),
  im: Float32Array.from(values, ([, im]) => im),
});
const quantize = (w: ComplexArray, rows: number, cols: number, options: PhaseOptions = {}): ComplexCodes =>
  finish(phaseCodes("f", w, { rows, cols, groupSize: cols }, options));

const t = suite("phaseCodes");

t("equals the oracle on Gaussian weights of every shape", () => {
  const shapes: Shape[] = [
    [1, 1, 1],
    [1, 1, 8],
    [3, 5, 5],
    [4, 64, 16],
    [5, 70, 32],
    [7, 130, 1000],
    [40, 520, 128],
  ];
  for (const shape of shapes) check(gaussians(shape[0] * shape[1]), shape, IFAIRY_LEAST, shape.join(" x "));
});

t("equals the oracle where parts are equal, zero or next to equal", () => {
  // A few magnitudes, so that most weights lie on a border or in the middle of a sector.
  const levels = [0, -0, 1, -1, 1 - 2 ** -24, -(1 + 2 ** -23), 1e-45, -1e-45, 1e-38, 3.4028234663852886e38];
  const values = levels.flatMap((re) => levels.map((im): [number, number] => [re, im]));
  check(complex(...values), [10, 10, 4], IFAIRY_LEAST, "levels");
  for (const [re, im] of values) check(complex([re, im]), [1, 1, 1], 0, `${re} + ${im}i`);
});

t("equals the oracle on hostile weights, and scales stay finite", () => {
  for (const { name: first, w: re } of hostileWeights(60, rng)) {
    for (const { name: second, w: im } of hostileWeights(60, rng)) {
      const label = `${first} + i ${second}`;
      check({ re, im }, [5, 12, 8], FAIRY2I_LEAST, label);
      const { scales } = quantize({ re, im }, 5, 12);
      ok(Number.isFinite(scales.re[0]) && Number.isFinite(scales.im[0]), label);
    }
  }
});

t("puts each border where the rule for ties says", () => {
  const borders = complex([2, 2], [-2, 2], [-2, -2], [2, -2], [0, 0], [-0, -0], [0, -0], [-0, 0]);
  is(quantize(borders, 1, 8, { ties: "sector" }).codes.join(""), "12300000");
  is(quantize(borders, 1, 8, { ties: "imaginary" }).codes.join(""), "11331111");
  is(quantize(borders, 1, 8).codes.join(""), "12300000");
  const axes = complex([5, 0], [0, 5], [-5, 0], [0, -5], [5, -0], [-0, 5], [-5, -0], [-0, -5]);
  for (const ties of TIES) is(quantize(axes, 1, 8, { ties }).codes.join(""), "01230123");
});

t("turns with the weights by 90 degrees, but for 0", () => {
  const w = gaussians(200);
  for (let i = 0; i < 50; i++) w.im[i] = (w.re[i] as number) * (i % 2 === 0 ? 1 : -1);
  const turned = { re: w.im.map((v) => -v), im: w.re };
  const { codes, scales } = quantize(w, 10, 20);
  const after = quantize(turned, 10, 20);
  equalBits(
    after.codes,
    codes.map((code) => (code + 1) % 4),
    "codes",
  );
  equalBits(after.scales.re, scales.im, "re from im");
  equalBits(after.scales.im, scales.re, "im from re");
});

t("one weight, and kinds without a weight", () => {
  const one = quantize(complex([-3, 1]), 1, 1);
  is([one.codes[0], one.scales.re[0], one.scales.im[0]].join(), `2,3,${f32(1e-5)}`);
  const other = quantize(complex([-3, 4]), 1, 1, { least: 0.5 });
  is([other.codes[0], other.scales.re[0], other.scales.im[0]].join(), "1,0.5,4");
  const zeros = quantize(complex([0, 0], [0, 0]), 1, 2);
  is([zeros.codes.join(), zeros.scales.re[0], zeros.scales.im[0]].join(), `0,0,${f32(1e-5)},${f32(1e-5)}`);
  const tiny = quantize(complex([1e-6, 0]), 1, 1).scales;
  is([tiny.re[0], tiny.im[0]].join(), `${f32(1e-6)},${f32(f32(1e-6) * 1e-5)}`);
  const least = quantize(complex([2 ** -149, 0]), 1, 1).scales;
  is([least.re[0], least.im[0]].join(), `${2 ** -149},${2 ** -149}`);
});

t("all equal: a mean that is the value itself", () => {
  for (const value of [0.1, 1e-4, 3.4028234663852886e38]) {
    const w = { re: new Float32Array(1000).fill(value), im: new Float32Array(1000).fill(-value / 2) };
    const { codes, scales } = quantize(w, 10, 100);
    ok(codes.every((code) => code === 0));
    is(scales.re[0], f32(value));
  }
});

t("leaves its input alone, and is deterministic", () => {
  const w = gaussians(300);
  const before = { re: w.re.slice(), im: w.im.slice() };
  const first = quantize(w, 3, 100, { scale: "row" });
  equalCodes(quantize(w, 3, 100, { scale: "row" }), first, "again");
  equalBits(w.re, before.re, "re");
  equalBits(w.im, before.im, "im");
});

t("refuses what it cannot take", () => {
  const shape = { rows: 2, cols: 10, groupSize: 10 };
  for (const bad of [NaN, Infinity, -Infinity]) {
    for (const part of ["re", "im"] as const) {
      const w = gaussians(20);
      w[part][5] = bad;
      const message = `f: w.${part}: expected finite weights, got ${bad} at index 5`;
      throwsWith(() => runNow("f", phaseCodes("f", w, shape)), RangeError, message);
    }
  }
  const refused = (w: unknown, kind: typeof Error, message: string): void =>
    throwsWith(() => runNow("f", phaseCodes("f", w as ComplexArray, shape)), kind, message);
  const { re, im } = gaussians(20);
  refused(undefined, TypeError, "f: w: expected an object, got undefined");
  refused(re, TypeError, "f: w: expected an object, got Float32Array of length 20");
  refused([re, im], TypeError, "f: w: expected an object, got Array");
  refused({ re }, TypeError, "f: w.im: expected a Float32Array, got undefined");
  refused({ re: new Float64Array(20), im }, TypeError, "f: w.re: expected a Float32Array, got Float64Array");
  const length = "expected length 20 (rows 2 x cols 10), got 19";
  refused({ re, im: im.slice(1) }, RangeError, `f: w.im: ${length}`);
  refused({ re: re.slice(1), im }, RangeError, `f: w.re: ${length}`);
  const option = (options: object, kind: typeof Error, message: string): void =>
    throwsWith(() => runNow("f", phaseCodes("f", { re, im }, shape, options)), kind, message);
  option({ scale: "col" }, RangeError, 'f: scale: expected "matrix" | "row" | "tile", got "col"');
  option({ ties: "real" }, RangeError, 'f: ties: expected "sector" | "imaginary", got "real"');
  option({ ties: 5 }, TypeError, 'f: ties: expected "sector" | "imaginary", got 5');
});

const u = suite("fairy2iStages");

const stagesOf = (a: Float32Array, rows: number, cols: number, options = {}): readonly Fairy2iStage[] =>
  finish(fairy2iStages("f", a, { rows, cols }, options));

/** Σ of the stages, in float64. */
function sumOf(stages: readonly Fairy2iStage[], of: "u" | "w"): { re: Float64Array; im: Float64Array } {
  const { length } = (stages[0] as Fairy2iStage)[of].codes;
  const sum = { re: new Float64Array(length), im: new Float64Array(length) };
  for (const stage of stages) {
    const { codes, scales } = stage[of];
    codes.forEach((code, i) => {
      const part = code % 2 === 0 ? "re" : "im";
      sum[part][i] = (sum[part][i] as number) + (code < 2 ? 1 : -1) * (scales[part][0] as number);
    });
  }
  return sum;
}

const dequantize = (stages: readonly Fairy2iStage[], rows: number, cols: number): Float64Array =>
  joinReal(sumOf(stages, "u"), sumOf(stages, "w"), rows, cols);

function errorOf(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let error = 0;
  for (let i = 0; i < expected.length; i++) error += ((actual[i] as number) - (expected[i] as number)) ** 2;
  return error;
}

u("equals the oracle, stage by stage", () => {
  for (const [rows, cols] of [
    [2, 2],
    [2, 14],
    [8, 2],
    [6, 130],
    [60, 700],
  ] as const) {
    const a = rng.gaussians(rows * cols);
    for (const ties of TIES) {
      for (const stages of [1, 2, 3, 4]) {
        const found = stagesOf(a, rows, cols, { stages, ties });
        const expected = quantizeFairy2i(a, rows, cols, stages, ties);
        is(found.length, stages);
        for (const [i, stage] of found.entries()) {
          for (const of of ["u", "w"] as const) {
            const label = `${rows} x ${cols}, ${ties}, stage ${i} of ${stages}, ${of}`;
            is(stage[of].codes.length, (rows * cols) / 4, label);
            is(stage[of].scales.re.length, 1, label);
            equalCodes(stage[of], (expected[i] as (typeof expected)[number])[of], label);
          }
        }
      }
    }
  }
});

u("equals the oracle on hostile weights, and stays finite", () => {
  for (const { name, w } of hostileWeights(48, rng)) {
    for (const ties of TIES) {
      const found = stagesOf(w, 4, 12, { stages: 3, ties });
      for (const [i, expected] of quantizeFairy2i(w, 4, 12, 3, ties).entries()) {
        const stage = found[i] as Fairy2iStage;
        equalCodes(stage.u, expected.u, `${name}, ${ties}, stage ${i}, u`);
        equalCodes(stage.w, expected.w, `${name}, ${ties}, stage ${i}, w`);
        const scales = [stage.u, stage.w].flatMap((found) => [found.scales.re[0], found.scales.im[0]]);
        ok(scales.every(Number.isFinite), `${name}: scales ${scales}`);
      }
    }
  }
});

u("two stages and the published ties are the default", () => {
  const a = new Float32Array(16).fill(0.5);
  const found = stagesOf(a, 4, 4);
  is(found.length, 2);
  // U = 1/2 (1 + 0i), W = 1/2 (0 + 1i) of all ones.
  is((found[0] as Fairy2iStage).u.codes.join(""), "0000");
  is((found[0] as Fairy2iStage).w.codes.join(""), "1111");
  equalBits(sumOf(found.slice(0, 1), "u").re, Float64Array.of(0.5, 0.5, 0.5, 0.5), "U");
  equalBits(sumOf(found.slice(0, 1), "w").im, Float64Array.of(0.5, 0.5, 0.5, 0.5), "W");
  // U = 1 + i of [1 -1; 1 1] lies on a border.
  const border = Float32Array.of(1, -1, 1, 1);
  is((stagesOf(border, 2, 2)[0] as Fairy2iStage).u.codes[0], 1);
});

u("first codes and scales are those of U and W", () => {
  const [rows, cols] = [10, 24];
  // Whole numbers: U and W are exact.
  const a = Float32Array.from({ length: rows * cols }, () => rng.int(-50, 50));
  const parts = splitReal(a, rows, cols);
  const [stage] = stagesOf(a, rows, cols, { stages: 1 }) as [Fairy2iStage];
  for (const of of ["u", "w"] as const) {
    const exact = { re: Float32Array.from(parts[of].re), im: Float32Array.from(parts[of].im) };
    equalCodes(stage[of], quantize(exact, rows / 2, cols / 2, { least: FAIRY2I_LEAST }), of);
  }
});

u("the real matrix comes back from U and W: A11 = Wr + Ur, A12 = Wi - Ui, A21 = Wi + Ui, A22 = Ur - Wr", () => {
  // U and W are codes times one pair of scales, so one stage says them.
  const [rows, cols] = [4, 6];
  const axes = [
    [3, 0],
    [0, 2],
    [-3, 0],
    [0, -2],
  ] as const;
  const pick = (): { re: Float64Array; im: Float64Array } => {
    const values = Array.from({ length: 6 }, (_, i) => axes[(i + rng.int(0, 1) * 2) % 4] as readonly [number, number]);
    return { re: Float64Array.from(values, ([re]) => re), im: Float64Array.from(values, ([, im]) => im) };
  };
  const [first, second] = [pick(), pick()];
  const a = Float32Array.from(joinReal(first, second, rows, cols));
  const found = stagesOf(a, rows, cols, { stages: 1 });
  const back = dequantize(found, rows, cols);
  equalBits(back, Float64Array.from(a), "A");
  const block = (down: number, right: number, row: number, col: number): number =>
    a[(row + down * 2) * cols + col + right * 3] as number;
  const { re: ur, im: ui } = sumOf(found, "u");
  const { re: wr, im: wi } = sumOf(found, "w");
  for (let row = 0; row < 2; row++) {
    for (let col = 0; col < 3; col++) {
      const i = row * 3 + col;
      const [u_r, u_i, w_r, w_i] = [ur[i], ui[i], wr[i], wi[i]] as [number, number, number, number];
      is(block(0, 0, row, col), w_r + u_r);
      is(block(0, 1, row, col), w_i - u_i);
      is(block(1, 0, row, col), w_i + u_i);
      is(block(1, 1, row, col), u_r - w_r);
    }
  }
});

u("no stage raises the error, in U, W or the real matrix", () => {
  for (const make of [() => rng.gaussian() * 0.02, () => rng.gaussian() ** 3, () => rng.uniform() + 0.5]) {
    const [rows, cols] = [32, 96];
    const a = Float32Array.from({ length: rows * cols }, make);
    const parts = splitReal(a, rows, cols);
    for (const ties of TIES) {
      const all = stagesOf(a, rows, cols, { stages: 4, ties });
      let last = { u: Infinity, w: Infinity, a: a.reduce((sum, v) => sum + v * v, 0) };
      for (let count = 1; count <= 4; count++) {
        const some = all.slice(0, count);
        const error = (of: "u" | "w"): number =>
          errorOf(sumOf(some, of).re, parts[of].re) + errorOf(sumOf(some, of).im, parts[of].im);
        const now = { u: error("u"), w: error("w"), a: errorOf(dequantize(some, rows, cols), a) };
        for (const key of ["u", "w", "a"] as const) {
          ok(now[key] < last[key], `${key}, stage ${count}: ${now[key]} after ${last[key]}`);
        }
        // The split is orthogonal but for a factor.
        ok(Math.abs(now.a - 2 * (now.u + now.w)) <= 1e-6 * now.a, `${now.a} is not twice ${now.u} + ${now.w}`);
        last = now;
      }
    }
  }
});

u("fewer stages are the first of more", () => {
  const a = rng.gaussians(12 * 20);
  const four = stagesOf(a, 12, 20, { stages: 4 });
  for (const stages of [1, 2, 3]) {
    for (const [i, stage] of stagesOf(a, 12, 20, { stages }).entries()) {
      equalCodes(stage.u, (four[i] as Fairy2iStage).u, `stage ${i} of ${stages}, u`);
      equalCodes(stage.w, (four[i] as Fairy2iStage).w, `stage ${i} of ${stages}, w`);
    }
  }
});

u("has errors of the expected size on Gaussian weights", () => {
  const [rows, cols] = [256, 512];
  const a = rng.gaussians(rows * cols);
  // A stage keeps E[max(|re|, |im|)]^2 / E[|w|^2] = 2/π of the first power: 0.3634 is left; of two 0.1304 to 0.1313 in 6 samples.
  nmseBelow(dequantize(stagesOf(a, rows, cols, { stages: 1 }), rows, cols), a, 0.38, "one stage");
  nmseBelow(dequantize(stagesOf(a, rows, cols), rows, cols), a, 0.14, "two stages");
});

u("leaves its input alone", () => {
  const a = rng.gaussians(100);
  const before = a.slice();
  stagesOf(a, 10, 10, { stages: 3 });
  equalBits(a, before, "w");
});

u("refuses what it cannot take", () => {
  const a = rng.gaussians(24);
  const refused = (rows: number, cols: number, options: object, kind: typeof Error, message: string): void =>
    throwsWith(() => stagesOf(a, rows, cols, options), kind, message);
  const reason = "expected an even number, since four blocks make two complex matrices";
  refused(3, 8, {}, RangeError, `f: rows: ${reason}, got 3`);
  refused(8, 3, {}, RangeError, `f: cols: ${reason}, got 3`);
  refused(1, 24, {}, RangeError, "f: rows: ");
  refused(4, 8, {}, RangeError, "f: w: expected length 32 (rows 4 x cols 8), got 24");
  for (const stages of [0, 5, 1.5]) {
    refused(4, 6, { stages }, RangeError, `f: stages: expected an integer from 1 to 4, got ${stages}`);
  }
  refused(4, 6, { stages: "2" }, TypeError, 'f: stages: expected an integer from 1 to 4, got "2"');
  refused(4, 6, { ties: "real" }, RangeError, "f: ties: expected ");
  a[5] = NaN;
  refused(4, 6, {}, RangeError, "f: w: expected finite weights, got NaN at index 5");
  throwsWith(
    () => stagesOf(new Float64Array(4) as unknown as Float32Array, 2, 2),
    TypeError,
    "f: w: expected a Float32",
  );
});

const v = suite("phase quantisers: progress and abort");

const works = {
  phaseCodes: () => phaseCodes("f", gaussians(200 * 500), { rows: 200, cols: 500, groupSize: 128 }, { scale: "row" }),
  fairy2iStages: () => fairy2iStages("f", rng.gaussians(200 * 500), { rows: 200, cols: 500 }, { stages: 2 }),
};

for (const [name, work] of Object.entries(works)) {
  v(`${name} reports often, from 0 to 1`, async () => {
    const seen: number[] = [];
    await runAsync<unknown>("f", work(), { onProgress: (done) => seen.push(done) });
    ok(seen.length >= 10, `${seen.length} reports`);
    ok(
      seen.every((done, i) => done > (seen[i - 1] ?? 0) && done <= 1),
      seen.join(),
    );
    is(seen.at(-1), 1);
    ok((seen.at(-2) as number) < 1);
  });

  v(`${name} ends when it is aborted`, async () => {
    const control = new AbortController();
    const onProgress = (done: number): void => {
      if (done > 0.4) control.abort(new RangeError("enough"));
    };
    await rejectsWith(runAsync<unknown>("f", work(), { signal: control.signal, onProgress }), RangeError, "enough");
  });
}

// Tables by weighted k-means: optimal by brute force where that is possible, and never worse with more iterations.
import { kmeansMatrix, kmeansRows, type TableFit, type TableOptions } from "../../../src/formats/codebook/kmeans.ts";
import { equalBits, is, ok, throwsWith } from "../../lib/assert.ts";
import { finish, hostileWeights, sum } from "../../lib/quantisers.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { leastError, leastErrorOfAll, tableError } from "../../reference/kmeans.ts";

const rng = random("kmeans");

type Bits = 2 | 3 | 4;

function rowsFit(w: Float32Array, rows: number, options: TableOptions): TableFit {
  return finish(kmeansRows("f", w, { rows, cols: w.length / rows }, options));
}

function matrixFit(w: Float32Array, rows: number, options: TableOptions): TableFit {
  return finish(kmeansMatrix("f", w, { rows, cols: w.length / rows }, options));
}

/** The importance of each weight, as it counts. */
function expand(w: Float32Array, importance: Float32Array | undefined): Float32Array {
  return w.map((_, i) => (importance === undefined ? 1 : (importance[i % importance.length] as number)));
}

/** Tables ascend, codes are the first nearest entry, errors are true; `runs` of weights have a table each. */
function check(w: Float32Array, runs: number, { bits, importance }: TableOptions, fit: TableFit, label: string): void {
  const count = 2 ** bits;
  const length = w.length / runs;
  const weights = expand(w, importance);
  is(fit.codes.length, w.length, label);
  is(fit.tables.length, runs * count, label);
  is(fit.errors.length, runs, label);
  for (let run = 0; run < runs; run++) {
    const table = fit.tables.subarray(run * count, (run + 1) * count);
    const values = w.subarray(run * length, (run + 1) * length);
    const own = weights.subarray(run * length, (run + 1) * length);
    table.forEach((entry, k) => {
      ok(Number.isFinite(entry) && (k === 0 || entry >= (table[k - 1] as number)), `${label}: table ${table}`);
    });
    values.forEach((value, i) => {
      const distances = Array.from(table, (entry) => Math.abs(value - entry));
      is(
        fit.codes[run * length + i],
        distances.indexOf(Math.min(...distances)),
        `${label}: code of ${value} in ${table}`,
      );
    });
    const used = own.some((weight) => weight > 0) ? own : own.map(() => 1);
    const error = tableError(values, used, table);
    ok(Math.abs(error - (fit.errors[run] as number)) <= 1e-10 * error, `${label}: error ${fit.errors[run]}, ${error}`);
  }
}

/** What rounding entries to float32 may add to an error: (half a unit of the largest |w|)^2 a weight. */
function slack(values: Float32Array, weights: Float32Array): number {
  const unit = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) * 2 ** -24 + 2 ** -150;
  return sum(weights) * unit * unit;
}

function someImportance(length: number): Float32Array {
  return Float32Array.from({ length }, () => (rng.int(0, 9) === 0 ? 0 : rng.gaussian() ** 2));
}

const t = suite("kmeansRows");

t("finds the least error of all assignments of a few weights", () => {
  for (let length = 1; length <= 7; length++) {
    for (let k = 0; k < 6; k++) {
      const w = k < 3 ? rng.gaussians(length) : Float32Array.from({ length }, () => rng.int(-3, 3));
      const importance = k % 3 === 0 ? undefined : someImportance(length);
      const options = { bits: 2 as const, ...(importance && { importance }) };
      const fit = rowsFit(w, 1, options);
      check(w, 1, options, fit, `${w}`);
      const weights = expand(w, importance);
      if (sum(weights) === 0) continue;
      const least = leastErrorOfAll([...w], [...weights], 4);
      const error = fit.errors[0] as number;
      ok(error <= least * (1 + 1e-9) + slack(w, weights), `${w} / ${weights}: ${error}, least ${least}`);
      const intervals = leastError(w, weights, 4);
      ok(Math.abs(intervals - least) <= 1e-9 * least + 1e-20, `the oracles agree: ${intervals}, ${least}`);
    }
  }
});

t("finds the least error of all intervals of many, by layers and by price", () => {
  for (const length of [8, 9, 15, 16, 17, 33, 127, 128, 129, 512, 513, 700]) {
    for (const bits of [2, 3, 4] as const) {
      for (const kind of ["gaussian", "heavy", "integers", "offset"]) {
        const draw = { gaussian: 0, heavy: 0, integers: 0, offset: 1000 }[kind] as number;
        const w = Float32Array.from({ length }, () =>
          kind === "heavy" ? rng.gaussian() ** 5 : kind === "integers" ? rng.int(-60, 60) : draw + rng.gaussian(),
        );
        const importance = rng.bits() % 2 === 0 ? undefined : someImportance(length);
        const options = { bits, ...(importance && { importance }) };
        const fit = rowsFit(w, 1, options);
        check(w, 1, options, fit, `${kind} ${length}, ${bits} bits`);
        const weights = expand(w, importance);
        const least = leastError(w, weights, 2 ** bits);
        const error = fit.errors[0] as number;
        const room = least * 1e-6 + slack(w, weights) * 4;
        ok(error <= least + room, `${kind} ${length}, ${bits} bits: ${error}, least ${least}`);
        ok(error >= least - room, `${kind} ${length}, ${bits} bits: ${error} below the least ${least}`);
      }
    }
  }
});

t("fits each row by itself, with importance of columns or of weights", () => {
  const rows = 5;
  const cols = 90;
  const w = rng.gaussians(rows * cols);
  for (const importance of [undefined, someImportance(cols), someImportance(rows * cols)]) {
    const options = { bits: 3 as const, ...(importance && { importance }) };
    const fit = rowsFit(w, rows, options);
    check(w, rows, options, fit, "rows");
    const weights = expand(w, importance);
    for (let row = 0; row < rows; row++) {
      const own = weights.slice(row * cols, (row + 1) * cols);
      const alone = rowsFit(w.slice(row * cols, (row + 1) * cols), 1, { bits: 3, importance: own });
      equalBits(fit.tables.slice(row * 8, (row + 1) * 8), alone.tables, `row ${row}`);
      equalBits(fit.codes.slice(row * cols, (row + 1) * cols), alone.codes, `row ${row}`);
    }
  }
});

t("repeats the largest value where there are fewer values than entries", () => {
  const fit = rowsFit(Float32Array.of(3, -1, 3, 0, -0, -1), 1, { bits: 3 });
  equalBits(fit.tables, Float32Array.of(-1, 0, 3, 3, 3, 3, 3, 3), "table");
  equalBits(fit.codes, Uint8Array.of(2, 0, 2, 1, 1, 0), "codes");
  is(fit.errors[0], 0);
  equalBits(rowsFit(new Float32Array(9), 1, { bits: 2 }).tables, new Float32Array(4), "all zero");
});

t("counts what has no importance for nothing, and all alike if none has", () => {
  const w = Float32Array.of(1, 2, 3, 4, 1000, 1000);
  const part = rowsFit(w, 1, { bits: 2, importance: Float32Array.of(1, 1, 1, 1, 0, 0) });
  equalBits(part.tables, Float32Array.of(1, 2, 3, 4), "table");
  equalBits(part.codes, Uint8Array.of(0, 1, 2, 3, 3, 3), "codes");
  const none = rowsFit(w, 1, { bits: 2, importance: new Float32Array(6) });
  equalBits(none.tables, rowsFit(w, 1, { bits: 2 }).tables, "none");
});

t("stands hostile weights and importance", () => {
  for (const length of [1, 9, 130, 600]) {
    for (const { name, w } of hostileWeights(length, rng)) {
      for (const bits of [2, 4] as const) {
        const wide = Float32Array.from({ length }, () => 2 ** rng.int(-149, 127));
        for (const importance of [undefined, new Float32Array(length).fill(3e38), wide]) {
          const options = { bits, ...(importance && { importance }) };
          const fit = rowsFit(w, 1, options);
          check(w, 1, options, fit, `${name} (${length}), ${bits} bits`);
          if (/^all|zeros|two|few|single/.test(name) && bits === 4) is(fit.errors[0], 0, name);
        }
      }
    }
  }
});

t("starts from bins where a row is long, and never lets its error rise", () => {
  const length = 40_000;
  // A fixed seed: with importance, few weights decide, and an unlucky sample is far from the textbook's distribution.
  const fixed = random("kmeans long rows", 1);
  for (const importance of [undefined, Float32Array.from({ length }, () => fixed.uniform() ** 2)]) {
    for (const shift of [0, 50]) {
      const w = Float32Array.from({ length }, () => shift + fixed.gaussian());
      let last = Infinity;
      for (const iterations of [0, 1, 2, 3, 10, 200]) {
        const options = { bits: 3 as const, iterations, ...(importance && { importance }) };
        const fit = rowsFit(w, 1, options);
        if (iterations % 3 === 0) check(w, 1, options, fit, `${iterations} iterations`);
        const error = fit.errors[0] as number;
        ok(error <= last, `${error} after ${iterations} iterations, before ${last}`);
        last = error;
      }
      const power = sum(importance ?? w.map(() => 1));
      ok(Math.abs(last / power - 0.03454) < 0.0015, `NMSE ${last / power}`);
    }
  }
});

t("never lets an error rise in short rows either", () => {
  const w = rng.gaussians(3000);
  let last: Float64Array | undefined;
  for (const iterations of [0, 1, 2, 3, 20]) {
    const { errors } = rowsFit(w, 30, { bits: 3, iterations });
    errors.forEach((error, i) => {
      ok(last === undefined || error <= (last[i] as number), `row ${i}: ${error} after ${iterations}`);
    });
    last = errors;
  }
});

t("reaches the Lloyd-Max values of Gaussian weights", () => {
  const w = rng.gaussians(16 * 4096);
  const power = sum(w.map((value) => value * value));
  for (const [bits, bound] of [
    [2, 0.1175],
    [3, 0.03454],
    [4, 0.009497],
  ] as [Bits, number][]) {
    const found = sum(rowsFit(w, 16, { bits }).errors) / power;
    ok(found < bound * 1.02 && found > bound * 0.92, `${bits} bits: NMSE ${found}, expected about ${bound}`);
    const whole = sum(matrixFit(w, 16, { bits }).errors) / power;
    ok(whole >= found && whole < bound * 1.03, `${bits} bits, whole matrix: NMSE ${whole}, rows ${found}`);
  }
});

t("is deterministic and leaves its input alone", () => {
  const w = rng.gaussians(2000);
  const before = w.slice();
  const importance = someImportance(2000);
  const kept = importance.slice();
  for (const fit of [rowsFit, matrixFit]) {
    const first = fit(w, 2, { bits: 4, importance });
    const second = fit(w, 2, { bits: 4, importance });
    equalBits(first.tables, second.tables, "tables");
    equalBits(first.codes, second.codes, "codes");
  }
  equalBits(w, before, "w");
  equalBits(importance, kept, "importance");
});

t("refuses NaN and Infinity with their index, and wrong options", () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const w = rng.gaussians(20);
    w[5] = bad;
    const message = `f: w: expected finite weights, got ${bad} at index 5`;
    throwsWith(() => rowsFit(w, 2, { bits: 2 }), RangeError, message);
    throwsWith(() => matrixFit(w, 2, { bits: 2 }), RangeError, message);
  }
  const w = new Float32Array(20);
  for (const bad of [NaN, Infinity, -1]) {
    const importance = new Float32Array(10).fill(1);
    importance[3] = bad;
    const message = `f: importance: expected finite numbers from 0 on, got ${bad} at index 3`;
    throwsWith(() => rowsFit(w, 2, { bits: 2, importance }), RangeError, message);
  }
  throwsWith(
    () => rowsFit(w, 2, { bits: 2, importance: new Float32Array(7) }),
    RangeError,
    "f: importance: expected length",
  );
  throwsWith(() => rowsFit(w, 2, { bits: 5 as Bits }), RangeError, "f: bits: expected an integer from 2 to 4, got 5");
  throwsWith(() => rowsFit(w, 2, { bits: 2, iterations: 0.5 }), RangeError, "f: iterations: ");
});

const m = suite("kmeansMatrix");

m("is the fit of one row of all weights", () => {
  for (const rows of [1, 3, 10]) {
    const w = rng.gaussians(300);
    const cols = 300 / rows;
    const importance = someImportance(cols);
    const options = { bits: 3 as const, importance };
    const fit = matrixFit(w, rows, options);
    check(w, 1, options, fit, `${rows} rows`);
    const alone = rowsFit(w, 1, { bits: 3, importance: expand(w, importance) });
    equalBits(fit.tables, alone.tables, "tables");
    equalBits(fit.codes, alone.codes, "codes");
  }
});

m("stands hostile weights in numbers", () => {
  for (const { name, w } of hostileWeights(20_000, rng)) {
    const fit = matrixFit(w, 20, { bits: 4 });
    check(w, 1, { bits: 4 }, fit, name);
    if (/^all|zeros|two|few|single/.test(name)) is(fit.errors[0], 0, name);
  }
});

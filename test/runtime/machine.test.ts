// How a machine is told from another: semantics first, then a timing that a busy machine or a coarse clock cannot mislead
// into giving up the usual kernel. Clocks here are made of numbers.
import { candidates, kernels, suitable } from "../../src/kernels/registry.ts";
import { dotOf, isFaster, type MachineExports } from "../../src/runtime/machine.ts";
import { is, ok } from "../lib/assert.ts";
import { init, ternary } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

/** A clock that shows multiples of `tick` ms, and spins that make it go on by `costs` a step and a disturbance a call. */
function clock(tick: number, costs: Record<string, number>, disturb: (call: number) => number = () => 0) {
  let time = 0;
  let calls = 0;
  const spins = Object.fromEntries(
    Object.entries(costs).map(([name, cost]) => [
      name,
      (n: number): number => {
        time += n * cost + disturb(calls++);
        return 0;
      },
    ]),
  );
  const now = (): number => {
    time += 1e-5;
    return Math.floor(time / tick) * tick;
  };
  return { now, spins, calls: () => calls, time: () => time };
}

const t = suite("isFaster");

t("of two and more times, either way", () => {
  for (const [usual, other, expected] of [
    [2e-5, 1e-5, true],
    [1e-5, 2e-5, false],
    [1e-5, 1e-5, false],
    [1e-5, 0.9e-5, false],
    [1e-5, 0.7e-5, true],
  ] as const) {
    const { now, spins } = clock(1e-5, { usual, other });
    is(isFaster(spins.other as never, spins.usual as never, now), expected, `${usual} ${other}`);
  }
});

t("disturbances that leave one round in five alone do not count", () => {
  for (const [usual, other] of [
    [2e-5, 1e-5],
    [1e-5, 2e-5],
  ] as const) {
    for (let quiet = 0; quiet < 5; quiet++) {
      const { now, spins } = clock(1e-5, { usual, other }, (call) => ((call >> 1) % 5 === quiet ? 0 : 7));
      is(isFaster(spins.other as never, spins.usual as never, now), other < usual, `${usual} ${other} ${quiet}`);
    }
  }
});

t("takes less than 3 ms if the usual one is clearly faster, else less than 12", () => {
  for (const tick of [1e-6, 1e-3, 0.005, 0.02]) {
    for (const [usual, other] of [
      [1e-5, 2e-5],
      [2e-5, 1e-5],
    ] as const) {
      const { now, spins, time } = clock(tick, { usual, other });
      is(isFaster(spins.other as never, spins.usual as never, now), other < usual, `tick ${tick}`);
      ok(time() < (usual < other ? 3 : 12), `tick ${tick}: ${time()} ms`);
    }
  }
});

t("waits for the optimising compiler, without which the usual one looks slower", () => {
  for (const arrival of [0, 1, 4, 8]) {
    let time = 0;
    const spin = (baseline: number, optimised: number) => (n: number) => {
      time += n * (time < arrival ? baseline : optimised);
    };
    const now = (): number => {
      time += 1e-5;
      return time;
    };
    is(isFaster(spin(4e-5, 2e-5), spin(6e-5, 1e-5), now), false, `at ${arrival} ms`);
  }
});

t("a clock that is too coarse, or stands still, says no and is not waited for", () => {
  for (const tick of [0.1, 1, 1e9]) {
    const { now, spins, calls } = clock(tick, { usual: 2e-5, other: 1e-6 });
    is(isFaster(spins.other as never, spins.usual as never, now), false, `tick ${tick}`);
    is(calls(), 0);
  }
});

const d = suite("dotOf");

/** A machine by what its binary shows, with dot products and 16-bit products that take so long. */
function machine(
  shows: { bits?: number; sign?: number; popcnt?: number; negative?: number },
  dot: number,
  mul: number,
) {
  const { now, spins, calls } = clock(1e-5, { dot, mul });
  const exports: MachineExports = {
    ...(shows.bits !== undefined && { dot_bits: () => shows.bits as number, popcnt_native: () => shows.popcnt ?? 0 }),
    ...(shows.sign !== undefined && { dot_sign: () => shows.sign as number }),
    nan_negative: () => shows.negative ?? 0,
    spin: (n, how) => (how === 0 ? spins.dot : spins.mul)?.(n) as number,
  };
  return { dot: dotOf(exports, now), measured: calls() > 0 };
}

d("relaxed: only ARM is measured", () => {
  for (const [dot, mul] of [
    [1e-5, 3e-5],
    [3e-5, 1e-5],
  ] as const) {
    const x86 = machine({ bits: 16 }, dot, mul);
    is(x86.dot, "i16");
    is(x86.measured, false);
    const vnni = machine({ bits: 32, popcnt: 0 }, dot, mul);
    is(vnni.dot, "i32");
    is(vnni.measured, false);
    is(machine({ bits: 32, sign: 1, popcnt: 0 }, dot, mul).dot, "u8");
    is(machine({ bits: 32, sign: -1, popcnt: 0 }, dot, mul).dot, "s8");
    is(machine({ bits: 32, sign: 0, popcnt: 0 }, dot, mul).dot, "i32");
    is(machine({ bits: 32, popcnt: 1 }, dot, mul).dot, dot < mul ? "i32" : "mul");
    is(machine({ bits: 32, sign: -1, popcnt: 1 }, dot, mul).dot, dot < mul ? "s8" : "mul");
  }
});

d("simd128: all but x86", () => {
  is(machine({ negative: 1 }, 3e-5, 1e-5).dot, "i16");
  is(machine({ negative: 1 }, 3e-5, 1e-5).measured, false);
  is(machine({ negative: 0 }, 3e-5, 1e-5).dot, "mul");
  is(machine({ negative: 0 }, 1e-5, 3e-5).dot, "i16");
});

d("what is chosen is the same in every instance, and what features say", async () => {
  for (const variant of ["simd", "auto"] as const) {
    const [a, b] = [await init({ variant }), await init({ variant })];
    is(a.features.dot, b.features.dot);
    const matrix = ternary.quantize(a, random("machine").gaussians(64), { rows: 4, cols: 16 });
    const rows = candidates("gemv", "ternary", "int8", a.features.variant);
    is(matrix.kernel, suitable(rows, a.features)?.name);
    matrix.dispose();
  }
});

d("codes of whole bytes are for machines that take them, and shapes of AVX-VNNI for it", () => {
  const twin = (format: "uniform4" | "uniform8", dot: "i16" | "i32" | "u8" | "s8" | "mul") =>
    suitable(candidates("gemv", format, "int8", "relaxed"), { dot, popcnt: "sliced" })?.dot;
  is(twin("uniform8", "u8"), "byte");
  is(twin("uniform8", "s8"), "byte");
  for (const dot of ["i16", "i32"] as const) is(twin("uniform8", dot), undefined, dot);
  for (const format of ["uniform4", "uniform8"] as const) is(twin(format, "mul"), "mul", format);
  is(twin("uniform4", "u8"), "u8");
  for (const dot of ["i32", "s8"] as const) is(twin("uniform4", dot), "i32", dot);
});

d("without a twin for it a machine gets the usual kernel", () => {
  const rows = candidates("gemm", "ternary", "int8", "relaxed");
  ok(kernels.some(({ dot }) => dot === "mul"));
  is(suitable(rows, { dot: "mul", popcnt: "native" }), rows[0]);
  is(suitable(rows, { dot: "i32", popcnt: "native" })?.dot, "i32");
  is(suitable(rows, { dot: "u8", popcnt: "sliced" })?.dot, "i32");
});

// Times of the transforms of lowbit/transforms, whole calls on one token.
import { hadamard, kronecker } from "lowbit/transforms";
import type { Loaded } from "./cases.ts";
import { fullBudget, interleave, quickBudget, sink } from "./measure.ts";
import { makeRandom } from "./random.ts";

interface TransformCase {
  readonly label: string;
  readonly run: () => void;
  /** Σ y² / Σ x² - 1, which is 0 for what is orthogonal. */
  readonly off: () => number;
}

const SIZES = [
  ["hadamard 4096", 4096, {}],
  ["hadamard 4096 block 128", 4096, { block: 128 }],
  ["hadamard 5120", 5120, {}],
  ["hadamard 5120 quarot", 5120, { choice: "quarot" }],
  ["hadamard 11008", 11008, {}],
  ["hadamard 14336", 14336, {}],
] as const;

function gaussians(length: number): Float32Array {
  const random = makeRandom(11);
  return Float32Array.from({ length }, () => random.gaussian());
}

const power = (x: Float32Array): number => x.reduce((sum, value) => sum + value * value, 0);

function makeCases({ lb, variant }: Loaded): TransformCase[] {
  const make = (name: string, n: number, apply: (x: Float32Array, y: Float32Array) => void): TransformCase => {
    const x = gaussians(n);
    const y = new Float32Array(n);
    const run = (): void => {
      apply(x, y);
      sink.total += y[0] as number;
    };
    const off = (): number => {
      apply(x, y);
      return power(y) / power(x) - 1;
    };
    return { label: `${name} ${variant}`, run, off };
  };
  const sizes = SIZES.map(([name, n, options]) => make(name, n, (x, y) => hadamard(lb, x, n, options, y)));
  const factor = hadamard(
    lb,
    Float32Array.from({ length: 4096 }, (_, i) => (i % 65 === 0 ? 1 : 0)),
    64,
  );
  const pair = { left: factor, right: factor, t1: 64, t2: 64 };
  return [...sizes, make("kronecker 64x64 dense", 4096, (x, y) => kronecker(lb, x, pair, y))];
}

/** Runs the cases whose label matches and prints their times; null when there are none, else whether all were right. */
export function benchTransforms(loaded: readonly Loaded[], filter: RegExp, quick: boolean): boolean | null {
  const cases = loaded.flatMap(makeCases).filter(({ label }) => filter.test(label));
  if (cases.length === 0) return null;
  let right = true;
  for (const { label, off } of cases) {
    if (Math.abs(off()) < 1e-5) continue;
    right = false;
    console.log(`WRONG    ${label}: changes the length of x by ${off()}`);
  }
  const times = interleave(
    cases.map(({ run }) => run),
    quick ? quickBudget : fullBudget,
    () => {},
  );
  console.log("\ntransforms, one token\n");
  for (const [i, { label }] of cases.entries()) {
    console.log(`${label.padEnd(44)} ${((times[i] as number) * 1000).toFixed(2).padStart(9)} µs`);
  }
  return right;
}

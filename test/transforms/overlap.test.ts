// Outputs of transforms that overlap their inputs in any way.
import { hadamard, hadamardInverse, kronecker, kroneckerInverse, scale } from "../../src/transforms/index.ts";
import { equalBits, is, throwsWith } from "../lib/assert.ts";
import { init, type Lowbit } from "../lib/library.ts";
import { random } from "../lib/random.ts";
import { suite } from "../lib/suite.ts";

const t = suite("transforms: out and x in one memory");
const rng = random("transforms overlap");
const lb: Lowbit = await init();
const n = 24;
const square = { left: rng.gaussians(16), right: rng.gaussians(36), t1: 4, t2: 6 };
const wide = { left: rng.gaussians(5 * 4), right: rng.gaussians(7 * 6), t1: 4, t2: 6 };
const narrow = { left: rng.gaussians(2 * 4), right: rng.gaussians(3 * 6), t1: 4, t2: 6 };
const by = rng.gaussians(n);

type Call = (x: Float32Array, out?: Float32Array) => Float32Array;
const calls: Readonly<Record<string, Call>> = {
  hadamard: (x, out) => hadamard(lb, x, n, {}, out),
  "hadamard of blocks": (x, out) => hadamard(lb, x, n, { block: 8 }, out),
  hadamardInverse: (x, out) => hadamardInverse(lb, x, n, {}, out),
  "kronecker, square": (x, out) => kronecker(lb, x, square, out),
  "kronecker, to more": (x, out) => kronecker(lb, x, wide, out),
  "kronecker, to fewer": (x, out) => kronecker(lb, x, narrow, out),
  kroneckerInverse: (x, out) => kroneckerInverse(lb, x, square, out),
  scale: (x, out) => scale(lb, x, by, out),
};

for (const [name, call] of Object.entries(calls)) {
  t(name, () => {
    for (const tokens of [1, 2, 7]) {
      const given = rng.gaussians(tokens * n);
      const expected = call(given);
      for (let shift = 0; shift <= 40; shift += rng.int(1, 5)) {
        for (const reversed of [false, true]) {
          for (const shared of [false, true]) {
            const bytes = 4 * (given.length + expected.length + 40);
            const buffer = shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
            const other = shared ? structuredClone(buffer) : buffer;
            const x = new Float32Array(buffer, reversed ? 4 * shift : 0, given.length);
            const out = new Float32Array(other, reversed ? 0 : 4 * shift, expected.length);
            x.set(given);
            is(call(x, out), out);
            equalBits(out, expected, `${name}, ${tokens} tokens, shift ${shift}, reversed ${reversed}`);
          }
        }
      }
    }
  });
}

t("factors in the memory of out", () => {
  const x = rng.gaussians(3 * n);
  const expected = scale(lb, x, by);
  const out = new Float32Array(3 * n);
  out.set(by, 10);
  equalBits(scale(lb, x, out.subarray(10, 10 + n), out), expected, "scale");
});

t("unknown options are refused", () => {
  const options = { blok: 8 } as object;
  throwsWith(() => hadamard(lb, by, n, options), TypeError, /^hadamard: options: .*"block".*"blok"/);
});

// The example layer of a complex model against a float64 forward on complex numbers one by one.

import { init } from "lowbit";
import { Block, type BlockWeights } from "../../../examples/ifairy/block.ts";
import type { ComplexArray } from "../../../src/lib/complex-array.ts";
import * as assert from "../../lib/assert.ts";
import { random } from "../../lib/random.ts";
import { suite } from "../../lib/suite.ts";
import { add, attended, type Complex, conjugate, gated, multiply, rmsNormOf, rotated } from "../../reference/ifairy.ts";
import { roundHalfEven } from "../../reference/rounding.ts";

const t = suite("ifairy");
const r = random("ifairy");

const config = {
  hiddenSize: 48,
  intermediateSize: 72,
  heads: 3,
  ropeTheta: 10000,
  rmsNormEps: 1e-5,
  maxPosition: 12,
};
const { hiddenSize, intermediateSize, heads, ropeTheta, rmsNormEps } = config;
const headDim = hiddenSize / heads;
const tokens = 9;

const gaussians = (length: number): ComplexArray => ({ re: r.gaussians(length), im: r.gaussians(length) });
const weights: BlockWeights = {
  pre_layernorm: gaussians(hiddenSize),
  q_proj: gaussians(hiddenSize * hiddenSize),
  k_proj: gaussians(hiddenSize * hiddenSize),
  v_proj: gaussians(hiddenSize * hiddenSize),
  attn_layernorm: gaussians(hiddenSize),
  o_proj: gaussians(hiddenSize * hiddenSize),
  post_layernorm: gaussians(hiddenSize),
  gate_proj: gaussians(intermediateSize * hiddenSize),
  up_proj: gaussians(intermediateSize * hiddenSize),
  ffn_layernorm: gaussians(intermediateSize),
  down_proj: gaussians(hiddenSize * intermediateSize),
};

function rowsOf({ re, im }: ComplexArray, size: number): Complex[][] {
  return Array.from({ length: re.length / size }, (_, row) =>
    Array.from({ length: size }, (_, j) => ({ re: re[row * size + j] as number, im: im[row * size + j] as number })),
  );
}

/** int8 of re and of im, absmax / 127 each. */
function quantized(x: readonly Complex[]): Complex[] {
  const part = (values: number[]): number[] => {
    const scale = Math.max(...values.map(Math.abs)) / 127;
    return values.map((v) => roundHalfEven(v / scale) * scale);
  };
  const re = part(x.map((v) => v.re));
  const im = part(x.map((v) => v.im));
  return re.map((v, j) => ({ re: v, im: im[j] as number }));
}

/** W conj(x) of each token. */
function linear(matrix: { dequantize(): ComplexArray; cols: number }, x: readonly Complex[][]): Complex[][] {
  const rows = rowsOf(matrix.dequantize(), matrix.cols);
  return x
    .map(quantized)
    .map((token) => rows.map((row) => row.map((w, j) => multiply(w, conjugate(token[j] as Complex))).reduce(add)));
}

const norm = (x: readonly Complex[][], gain: ComplexArray): Complex[][] =>
  x.map((token) => rmsNormOf(token, rowsOf(gain, gain.re.length)[0] as Complex[], rmsNormEps));
const sum = (x: readonly Complex[][], y: readonly Complex[][]): Complex[][] =>
  x.map((token, i) => token.map((v, j) => add(v, y[i]?.[j] as Complex)));
const headOf = (token: readonly Complex[], head: number): Complex[] =>
  token.slice(head * headDim, (head + 1) * headDim);

function reference({ matrices }: Block, x: readonly Complex[][]): Complex[][] {
  const h = norm(x, weights.pre_layernorm);
  const [q, k, v] = [linear(matrices.q_proj, h), linear(matrices.k_proj, h), linear(matrices.v_proj, h)];
  const attention = q.map((token, i) =>
    Array.from({ length: heads }, (_, head) => {
      const keys = k.slice(0, i + 1).map((key, position) => rotated(headOf(key, head), position, ropeTheta));
      const values = v.slice(0, i + 1).map((value) => headOf(value, head));
      return attended(rotated(headOf(token, head), i, ropeTheta), keys, values);
    }).flat(),
  );
  const middle = sum(x, linear(matrices.o_proj, norm(attention, weights.attn_layernorm)));
  const m = norm(middle, weights.post_layernorm);
  const up = linear(matrices.up_proj, m);
  const gates = linear(matrices.gate_proj, m).map((token, i) => token.map((a, j) => gated(a, up[i]?.[j] as Complex)));
  return sum(middle, linear(matrices.down_proj, norm(gates, weights.ffn_layernorm)));
}

t("a layer agrees with float64, and decode with prefill", async () => {
  const lb = await init();
  const { used } = lb.memory;
  const input = gaussians(tokens * hiddenSize);
  const copy = (from = 0, to = tokens): ComplexArray => ({
    re: input.re.slice(from * hiddenSize, to * hiddenSize),
    im: input.im.slice(from * hiddenSize, to * hiddenSize),
  });
  const block = new Block(lb, weights, config);
  const x = copy();
  block.forward(x);
  const expected = reference(block, rowsOf(input, hiddenSize)).flat();
  // What is left is the rounding of float32, and an int8 that it makes the neighbouring one now and then.
  for (const part of ["re", "im"] as const) {
    assert.nmseBelow(
      x[part],
      expected.map((v) => v[part]),
      1e-4,
      part,
    );
  }

  const again = new Block(lb, weights, config);
  for (const [from, to] of [
    [0, 5],
    [5, 6],
    [6, 9],
  ] as const) {
    const some = copy(from, to);
    again.forward(some);
    assert.equalBits(some.re, x.re.slice(from * hiddenSize, to * hiddenSize), `tokens from ${from}, re`);
    assert.equalBits(some.im, x.im.slice(from * hiddenSize, to * hiddenSize), `tokens from ${from}, im`);
  }
  assert.throwsWith(() => again.forward(copy(0, 4)), RangeError, "expected at most 3 tokens, got 4");
  block.dispose();
  again.dispose();
  // What stays is working memory.
  assert.ok(lb.memory.used - used < 65536);
});

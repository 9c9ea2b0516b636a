/**
 * One transformer layer of iFairy (Wang et al., arXiv:2508.05571): complex activations, and weights of 1, i, -1 and -i that
 * meet the conjugate of their input. The linear layers are lowbit's; the rest is `lowbit/complex`.
 */
import { type ComplexArray, type ComplexMatrix, complex, type Lowbit } from "lowbit";
import { attend, gate, rmsNorm, rope } from "lowbit/complex";

export interface BlockConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  /** hiddenSize is a multiple of it. */
  readonly heads: number;
  readonly ropeTheta: number;
  readonly rmsNormEps: number;
  /** Tokens that the cache holds. */
  readonly maxPosition: number;
}

/** Under the names that checkpoints have. Norms [size], projections [rows, cols]: what an iFairy checkpoint trains. */
export interface BlockWeights {
  readonly pre_layernorm: ComplexArray;
  readonly q_proj: ComplexArray;
  readonly k_proj: ComplexArray;
  readonly v_proj: ComplexArray;
  readonly attn_layernorm: ComplexArray;
  readonly o_proj: ComplexArray;
  readonly post_layernorm: ComplexArray;
  readonly gate_proj: ComplexArray;
  readonly up_proj: ComplexArray;
  readonly ffn_layernorm: ComplexArray;
  readonly down_proj: ComplexArray;
}

type Projection = Extract<keyof BlockWeights, `${string}_proj`>;

export class Block {
  readonly matrices: Readonly<Record<Projection, ComplexMatrix>>;
  /** Tokens so far: the position of the next one. */
  position = 0;

  readonly #weights: BlockWeights;
  readonly #config: BlockConfig;
  /** Rotated keys and values of the tokens so far, [maxPosition, hiddenSize]. */
  readonly #keys: ComplexArray;
  readonly #values: ComplexArray;

  constructor(lb: Lowbit, weights: BlockWeights, config: BlockConfig) {
    const { hiddenSize, intermediateSize, maxPosition } = config;
    const quantize = (w: ComplexArray, rows: number, cols: number): ComplexMatrix =>
      complex.quantize(lb, w, { rows, cols, conjugate: "x" });
    this.#weights = weights;
    this.#config = config;
    this.matrices = {
      q_proj: quantize(weights.q_proj, hiddenSize, hiddenSize),
      k_proj: quantize(weights.k_proj, hiddenSize, hiddenSize),
      v_proj: quantize(weights.v_proj, hiddenSize, hiddenSize),
      o_proj: quantize(weights.o_proj, hiddenSize, hiddenSize),
      gate_proj: quantize(weights.gate_proj, intermediateSize, hiddenSize),
      up_proj: quantize(weights.up_proj, intermediateSize, hiddenSize),
      down_proj: quantize(weights.down_proj, hiddenSize, intermediateSize),
    };
    this.#keys = zeros(maxPosition * hiddenSize);
    this.#values = zeros(maxPosition * hiddenSize);
  }

  /**
   * Appends tokens.
   * @param x [tokens, hiddenSize], the residual stream: read and overwritten
   */
  forward(x: ComplexArray): void {
    const { hiddenSize, rmsNormEps, maxPosition } = this.#config;
    const tokens = x.re.length / hiddenSize;
    if (this.position + tokens > maxPosition) {
      throw new RangeError(`forward: x: expected at most ${maxPosition - this.position} tokens, got ${tokens}`);
    }
    const h = rmsNorm(x, this.#weights.pre_layernorm, rmsNormEps);
    add(x, this.#attention(h, tokens));
    rmsNorm(x, this.#weights.post_layernorm, rmsNormEps, h);
    add(x, this.#feedForward(h, tokens));
    this.position += tokens;
  }

  /** Frees the matrices. */
  dispose(): void {
    for (const matrix of Object.values(this.matrices)) matrix.dispose();
  }

  #attention(h: ComplexArray, tokens: number): ComplexArray {
    const { hiddenSize, heads, ropeTheta, rmsNormEps } = this.#config;
    const { q_proj, k_proj, v_proj, o_proj } = this.matrices;
    const options = { heads, headDim: hiddenSize / heads, base: ropeTheta };
    const seen = this.position + tokens;
    const fresh = (cache: ComplexArray): ComplexArray => part(cache, this.position * hiddenSize, seen * hiddenSize);

    const q = q_proj.gemm(h, tokens);
    const k = k_proj.gemm(h, tokens, fresh(this.#keys));
    v_proj.gemm(h, tokens, fresh(this.#values));
    rope(q, this.position, options, q);
    rope(k, this.position, options, k);
    attend(q, part(this.#keys, 0, seen * hiddenSize), part(this.#values, 0, seen * hiddenSize), options, q);
    rmsNorm(q, this.#weights.attn_layernorm, rmsNormEps, q);
    return o_proj.gemm(q, tokens);
  }

  #feedForward(h: ComplexArray, tokens: number): ComplexArray {
    const { gate_proj, up_proj, down_proj } = this.matrices;
    const m = gate_proj.gemm(h, tokens);
    gate(m, up_proj.gemm(h, tokens), m);
    rmsNorm(m, this.#weights.ffn_layernorm, this.#config.rmsNormEps, m);
    return down_proj.gemm(m, tokens);
  }
}

function zeros(length: number): ComplexArray {
  return { re: new Float32Array(length), im: new Float32Array(length) };
}

/** The numbers from `start` to `end`, in the same memory. */
function part({ re, im }: ComplexArray, start: number, end: number): ComplexArray {
  return { re: re.subarray(start, end), im: im.subarray(start, end) };
}

function add(x: ComplexArray, y: ComplexArray): void {
  for (const name of ["re", "im"] as const) {
    for (const [i, value] of y[name].entries()) x[name][i] = (x[name][i] as number) + value;
  }
}

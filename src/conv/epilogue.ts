// From sums to what is stored (assembly/conv/finish.ts): constants of every output, and the words of the record that depend on
// the scales of the tensors.
import { rangeError } from "../lib/check.ts";
import { roundHalfEven } from "../numeric/scale.ts";
import { BLOCK_BYTES, type FloatWord, FORM, KIND, type Word } from "./record.ts";
import { blocksOf, type Spec, scaleAt } from "./spec.ts";
import { codesOf, pitchOf, type Tensor } from "./tensor.ts";

export interface Epilogue {
  readonly words: Partial<Readonly<Record<Word, number>>>;
  readonly asFloats: readonly FloatWord[];
  /** Added to the sum of each output. */
  readonly add: Int32Array;
  /** Multipliers: float32, or int32 of the dyadic form. */
  readonly factors: Float32Array | Int32Array;
  /** Added after the multiplication. */
  readonly after: Float32Array;
}

export function isDyadic({ dyadic }: Spec, { type }: Tensor): boolean {
  return dyadic && (type === "int8" || type === "uint8");
}

export function epilogueOf(
  where: string,
  spec: Spec,
  x: Tensor,
  out: Tensor,
  residual: { readonly tensor: Tensor; readonly address: number } | undefined,
): Epilogue {
  const { zero } = codesOf(x);
  // What stands for 0 in the operand of the kernel: unsigned bytes are 128 more.
  const shift = spec.operand === "unsigned" && spec.algorithm === "direct" ? zero + 128 : zero;
  const add = Int32Array.from(spec.sums, (sum) => -shift * sum);
  const scaleOut = out.type === "float32" ? 1 : out.scale;
  const scales: Scales = {
    ratios: Float64Array.from(add, (_, k) => (x.scale * scaleAt(spec, k)) / scaleOut),
    residual: residual ? (residual.tensor.type === "float32" ? 1 : residual.tensor.scale) / scaleOut : 0,
    in: x.scale,
    out: scaleOut,
  };
  const made = isDyadic(spec, out)
    ? dyadicForm(where, spec, out, add, scales)
    : floatForm(where, spec, out, add, scales);
  const { flip, zero: zeroOut } = out.type === "int8" || out.type === "uint8" ? codesOf(out) : { flip: 0, zero: 0 };
  return {
    ...made,
    words: {
      ...{ y: 0, yPitch: pitchOf(out), yKind: kindOf(out), yFlip: flip, yZero: zeroOut },
      ...(residual ? residualWords(residual.tensor, residual.address) : { residual: 0, residualPitch: 0 }),
      ...made.words,
    },
  };
}

interface Scales {
  /** Of each output: from sums to codes. */
  readonly ratios: Float64Array;
  readonly residual: number;
  readonly in: number;
  readonly out: number;
}

function kindOf({ type }: Tensor): number {
  return type === "int32" ? KIND.int32 : type === "float32" ? KIND.float32 : KIND.bytes;
}

function residualWords(tensor: Tensor, address: number): Epilogue["words"] {
  const { flip, zero } = tensor.type === "float32" ? { flip: 0, zero: 0 } : codesOf(tensor);
  return {
    ...{ residual: address, residualPitch: pitchOf(tensor), residualKind: kindOf(tensor) },
    ...{ residualFlip: flip, residualZero: zero },
  };
}

/** Factors and terms stay below this, so that no product with a sum or a code, and no sum of them, overflows float32. */
const LARGEST = 2 ** 90;

function floatForm(where: string, { bias, clip }: Spec, out: Tensor, add: Int32Array, scales: Scales): Epilogue {
  const factors = Float32Array.from(scales.ratios);
  const after = Float32Array.from(add, (_, k) => (bias ? (bias[k] as number) / scales.out : 0));
  for (const values of [factors, after, [scales.residual]]) {
    if (values.some((value) => Math.abs(value) >= LARGEST)) {
      throw rangeError(`${where}: out: scale`, "one that results can be divided by", String(out.scale));
    }
  }
  const [least, most] = clip.map((bound) => Math.fround(bound / scales.out)) as [number, number];
  const range = out.type === "float32" || out.type === "int32" ? undefined : codesOf(out);
  return {
    ...{ add, factors, after, asFloats: ["least", "most", "residualScale"] },
    words: {
      ...{ form: FORM.float, shift: 0, residualScale: Math.fround(scales.residual) },
      least: range ? Math.max(range.least, least) : least,
      most: range ? Math.min(range.most, most) : most,
    },
  };
}

/**
 * The multiplication by a ratio as one by an integer below 2^31 and a shift (HAWQ-V3, Yao et al. 2021): one shift for all
 * outputs, as large as the largest ratio allows. The bias is added to the sum, as an integer.
 */
function dyadicForm(where: string, spec: Spec, out: Tensor, sums: Int32Array, scales: Scales): Epilogue {
  const { ratios } = scales;
  const largest = ratios.reduce((most, ratio) => Math.max(most, Math.abs(ratio)), scales.residual);
  let shift = 62;
  while (shift > 0 && roundHalfEven(largest * 2 ** Math.min(shift, 40) * 2 ** Math.max(0, shift - 40)) >= 2 ** 31)
    shift--;
  const add = sums.slice();
  for (const [k, ratio] of ratios.entries()) {
    const unit = scales.in * scaleAt(spec, k);
    const term = spec.bias && unit !== 0 ? roundHalfEven((spec.bias[k] as number) / unit) : 0;
    const extent = (spec.extents[k] as number) + Math.abs(term);
    // A sum and its bias are int32; so is what is left of them after the shift.
    if (!(extent < 2 ** 31) || !(Math.abs(ratio) * extent + 255 * scales.residual < 2 ** 30) || shift === 0) {
      throw rangeError(`${where}: out: scale`, "one with which results are integers below 2^30", String(out.scale));
    }
    add[k] = (add[k] as number) + term;
  }
  const factors = Int32Array.from(ratios, (ratio) => roundHalfEven(ratio * 2 ** shift));
  const range = codesOf(out);
  const zero = range.zero;
  const bound = (value: number): number => Math.max(-512, Math.min(512, roundHalfEven(value / scales.out)));
  return {
    ...{ add, factors, after: new Float32Array(add.length), asFloats: [] },
    words: {
      ...{ form: FORM.dyadic, shift, residualScale: roundHalfEven(scales.residual * 2 ** shift) },
      least: zero + Math.max(range.least, bound(spec.clip[0])),
      most: zero + Math.min(range.most, bound(spec.clip[1])),
    },
  };
}

/** Constants of blocks of 16 outputs, at `address`. */
export function writeBlocks(buffer: ArrayBufferLike, address: number, spec: Spec, made: Epilogue): void {
  const { groups, outputs, blocks } = blocksOf(spec);
  const { add, factors, after } = made;
  for (let group = 0; group < groups; group++) {
    for (let block = 0; block < blocks; block++) {
      const at = address + (group * blocks + block) * BLOCK_BYTES;
      const first = group * outputs + block * 16;
      const end = Math.min(first + 16, (group + 1) * outputs);
      new Uint8Array(buffer, at, BLOCK_BYTES).fill(0);
      new Int32Array(buffer, at, 16).set(add.subarray(first, end));
      new Float32Array(buffer, at + 128, 16).set(after.subarray(first, end));
      if (factors instanceof Int32Array) new Int32Array(buffer, at + 64, 16).set(factors.subarray(first, end));
      else new Float32Array(buffer, at + 64, 16).set(factors.subarray(first, end));
    }
  }
}

// Frequencies of rotary embeddings, and tables of cosines and sines in linear memory. Formulas as transformers has them
// (modeling_rope_utils.py); computed in float64 by our own functions, so that every engine has the same table.
import { cos, log, pow, sin } from "../numeric/elementary.ts";
import type { Engine } from "../runtime/engine.ts";
import type { RopeConfig } from "./config.ts";

export interface Frequencies {
  /** Radians a position [turned / 2]. */
  readonly turns: Float64Array;
  /** What cosines and sines are multiplied by. */
  readonly factor: number;
}

/** Frequencies for a sequence of `length` tokens. */
export function frequencies(rope: RopeConfig, length: number): Frequencies {
  const { theta, turned, type, factor, original } = rope;
  const half = turned / 2;
  const plain = (base: number): Float64Array =>
    Float64Array.from({ length: half }, (_, i) => pow(base, (-2 * i) / turned));
  let turns = plain(theta);
  let magnitude = rope.attention ?? 1;
  if (type === "linear") turns = turns.map((turn) => turn / factor);
  else if (type === "dynamic" && length > original) {
    // NTK-aware scaling: the base grows with the sequence.
    turns = plain(theta * pow((factor * length) / original - (factor - 1), turned / (turned - 2)));
  } else if (type === "llama3") turns = turns.map((turn) => llama3(turn, rope));
  else if (type === "yarn") {
    const scales = yarnRamp(rope);
    // Both kinds of frequencies, mixed.
    turns = turns.map((turn, i) => (turn / factor) * (scales[i] as number) + turn * (1 - (scales[i] as number)));
    magnitude = rope.attention ?? yarnMagnitude(rope);
  } else if (type === "longrope") {
    const factors = (length > original ? rope.long : rope.short) ?? [];
    turns = turns.map((turn, i) => turn / (factors[i] ?? 1));
    magnitude = rope.attention ?? (factor <= 1 ? 1 : Math.sqrt(1 + log(factor) / log(original)));
  }
  const { divisors } = rope;
  if (divisors) turns = turns.map((turn, i) => turn / (divisors[i] as number));
  return { turns, factor: magnitude };
}

/** Whether two lengths have other frequencies, so that keys that were rotated for one do not serve the other. */
export function sameFrequencies(rope: RopeConfig, a: number, b: number): boolean {
  return rope.type !== "longrope" || a > rope.original === b > rope.original;
}

const TURN = 2 * Math.PI;

function llama3(turn: number, { factor, original, lowFrequency, highFrequency }: RopeConfig): number {
  const wave = TURN / turn;
  if (wave < original / highFrequency) return turn;
  if (wave > original / lowFrequency) return turn / factor;
  const smooth = (original / wave - lowFrequency) / (highFrequency - lowFrequency);
  return ((1 - smooth) * turn) / factor + smooth * turn;
}

/** Of each frequency how much of it is stretched (Peng et al., arXiv:2309.00071, eq. 23). */
function yarnRamp({ theta, turned, original, betaFast, betaSlow, truncate }: RopeConfig): Float64Array {
  const place = (rotations: number): number => (turned * log(original / (rotations * TURN))) / (2 * log(theta));
  const [low, high] = truncate
    ? [Math.floor(place(betaFast)), Math.ceil(place(betaSlow))]
    : [place(betaFast), place(betaSlow)];
  const first = Math.max(low, 0);
  const last = Math.min(high, turned - 1);
  // As the published code avoids a division by 0.
  const width = first === last ? 0.001 : last - first;
  return Float64Array.from({ length: turned / 2 }, (_, i) => Math.min(1, Math.max(0, (i - first) / width)));
}

function yarnMagnitude({ factor, mscale, mscaleAll }: RopeConfig): number {
  const of = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1);
  return mscale > 0 && mscaleAll > 0 ? of(mscale) / of(mscaleAll) : of(1);
}

/** Rows [cos, sin] of positions, computed when they are first needed. */
export class RopeTable {
  readonly turned: number;
  readonly #engine: Engine;
  readonly #rope: RopeConfig;
  #address = 0;
  #room = 0;
  #filled = 0;
  #length = 0;

  constructor(engine: Engine, rope: RopeConfig) {
    this.#engine = engine;
    this.#rope = rope;
    this.turned = rope.turned;
  }

  /**
   * The table, with rows for positions up to `end`.
   * @param begin the first position that is going to be rotated
   * @param length of the whole sequence, on which frequencies may depend
   */
  rows(begin: number, end: number, length: number): number {
    const { arena } = this.#engine;
    const { turned } = this;
    if (end > this.#room) {
      const room = Math.max(256, 2 * this.#room, end);
      const address = arena.allocate(room * turned * 4);
      if (this.#room > 0) {
        arena.bytes.copyWithin(address, this.#address, this.#address + this.#filled * turned * 4);
        arena.release(this.#address);
      }
      this.#address = address;
      this.#room = room;
    }
    const rope = this.#rope;
    const moved =
      rope.type === "dynamic"
        ? Math.max(length, rope.original) !== Math.max(this.#length, rope.original)
        : !sameFrequencies(rope, length, this.#length);
    let first = moved ? Math.min(begin, this.#filled) : this.#filled;
    if (rope.type === "longrope" && moved) first = 0;
    if (first < end) this.#fill(first, end, frequencies(rope, length));
    this.#filled = Math.max(this.#filled, end);
    this.#length = length;
    return this.#address;
  }

  #fill(begin: number, end: number, { turns, factor }: Frequencies): void {
    const { floats } = this.#engine.arena;
    const half = turns.length;
    for (let position = begin; position < end; position++) {
      const at = this.#address / 4 + position * 2 * half;
      for (let i = 0; i < half; i++) {
        const angle = position * (turns[i] as number);
        floats[at + i] = cos(angle) * factor;
        floats[at + half + i] = sin(angle) * factor;
      }
    }
  }

  dispose(): void {
    if (this.#room > 0) this.#engine.arena.release(this.#address);
    this.#room = 0;
    this.#filled = 0;
  }
}

// The checksum of our files: 64 bits that find what storage and transport do to bytes, at the speed of memory. It is no defence
// against somebody who means to deceive.
//
// Bytes, with zeros up to a multiple of 64, are uint32 words; word i of each 64 bytes meets lane i of 16:
//
//   lane = rotl((lane ^ word) · F, 13)        F = 0x9e3779b1; lane i starts as F · (i + 1)
//
// A step is a bijection of the lane and of the word, so a change of one word, a bit or all of it, surely changes its lane, and
// every later step keeps lanes that differ different. In the end lanes 0 to 15 and the length are folded into one half by the same step
// and lanes 15 to 0 and the length into the other, whose factor is another odd number: a change in one lane surely changes both. Errors in
// several lanes, as longer bursts, cancel in a half with a chance of 2^-32, in both with 2^-64; a word moved elsewhere, zeros
// added or left out, and pieces in another order are such errors.
import { littleEndian } from "../../lib/little-endian.ts";
import type { Engine } from "../../runtime/engine.ts";

const FACTOR = 0x9e3779b1;
/** 2^32 · (√2 - 1), odd. */
const OTHER = 0x6a09e667;
const LANES = 16;
/** Bytes of a step. */
const STEP = 4 * LANES;

const rotl = (x: number): number => (x << 13) | (x >>> 19);

export class Checksum {
  readonly #lanes = Int32Array.from({ length: LANES }, (_, i) => Math.imul(FACTOR, i + 1));
  /** Bytes of a step that is not whole yet. */
  readonly #rest = new Uint8Array(STEP);
  #length = 0;

  /** Goes on with bytes, wherever they are. */
  update(bytes: Uint8Array): void {
    let from = 0;
    const filled = this.#length % STEP;
    if (filled > 0) {
      from = Math.min(STEP - filled, bytes.length);
      this.#rest.set(bytes.subarray(0, from), filled);
      if (filled + from === STEP) this.#steps(this.#rest);
    }
    const whole = bytes.length - ((bytes.length - from) % STEP);
    this.#steps(bytes.subarray(from, Math.max(from, whole)));
    if (whole > from || filled === 0) this.#rest.set(bytes.subarray(Math.max(from, whole)));
    this.#length += bytes.length;
  }

  /**
   * Goes on with bytes of linear memory: whole steps, as all bytes before them must have been.
   * @param state the address of 64 bytes that are its to use
   */
  updateAt({ arena, exports }: Engine, state: number, address: number, bytes: number): void {
    new Int32Array(arena.bytes.buffer, state, LANES).set(this.#lanes);
    exports.file_checksum(state, address, bytes);
    this.#lanes.set(new Int32Array(arena.bytes.buffer, state, LANES));
    this.#length += bytes;
  }

  /** The checksum of all bytes so far, after which there are no more: 8 bytes, the halves little-endian. */
  digest(): Uint8Array {
    const filled = this.#length % STEP;
    if (filled > 0) this.#steps(this.#rest.fill(0, filled));
    const length = [this.#length % 2 ** 32, Math.floor(this.#length / 2 ** 32)];
    const fold = (words: readonly number[], factor: number): number =>
      words.reduce((sum, word) => rotl(Math.imul(sum ^ word, factor)), 0);
    const lanes = Array.from(this.#lanes);
    const view = new DataView(new ArrayBuffer(8));
    view.setInt32(0, fold([...lanes, ...length], FACTOR), true);
    view.setInt32(4, fold([...lanes.reverse(), ...length], OTHER), true);
    return new Uint8Array(view.buffer);
  }

  #steps(bytes: Uint8Array): void {
    const lanes = this.#lanes;
    const aligned = bytes.byteOffset % 4 === 0 && littleEndian;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const words = aligned
      ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
      : Int32Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(4 * i, true));
    for (let lane = 0; lane < LANES; lane += 4) {
      let [a, b, c, d] = [lanes[lane], lanes[lane + 1], lanes[lane + 2], lanes[lane + 3]] as [
        number,
        number,
        number,
        number,
      ];
      for (let i = lane; i < words.length; i += LANES) {
        a = rotl(Math.imul(a ^ (words[i] as number), FACTOR));
        b = rotl(Math.imul(b ^ (words[i + 1] as number), FACTOR));
        c = rotl(Math.imul(c ^ (words[i + 2] as number), FACTOR));
        d = rotl(Math.imul(d ^ (words[i + 3] as number), FACTOR));
      }
      lanes[lane] = a;
      lanes[lane + 1] = b;
      lanes[lane + 2] = c;
      lanes[lane + 3] = d;
    }
  }
}

/** The checksum of some bytes. */
export function checksumOf(bytes: Uint8Array): Uint8Array {
  const sum = new Checksum();
  sum.update(bytes);
  return sum.digest();
}

/** A checksum as text: 16 digits, the bytes in their order. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// The generator of sampling: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021).
// Its four words of state are the first outputs of splitmix32 with the finaliser of MurmurHash3, whose counter begins at
// the seed's low 32 bits, with its high bits xored to the third word. So a seed means the same numbers everywhere.

export type RandomState = readonly [number, number, number, number];

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** @param seed a whole number from 0 to 2^53 - 1 */
  constructor(seed: number) {
    const low = seed >>> 0;
    const high = Math.floor(seed / 2 ** 32);
    const word = (i: number): number => mix(low + Math.imul(i, 0x9e3779b9));
    this.#a = word(1);
    this.#b = word(2);
    this.#c = (word(3) ^ high) >>> 0;
    this.#d = word(4);
    // The one state that it never leaves.
    if ((this.#a | this.#b | this.#c | this.#d) === 0) this.#a = 1;
  }

  /** The next number of 53 bits, from 0 to below 1: the upper 21 bits of one output, then 32 of the next. */
  next(): number {
    const high = this.#bits() >>> 11;
    return (high * 2 ** 32 + this.#bits()) * 2 ** -53;
  }

  #bits(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = rotate(this.#d, 11);
    return result;
  }
}

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

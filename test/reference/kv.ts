// Keys and values of few bits, number by number: KIVI (arXiv:2402.02750) with queries and weights of 8 bits, as docs/numerics.md says.

const fround = Math.fround;

/** To the nearest whole number, ties to even. */
function even(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** The least bfloat16 that is not below a positive float32. */
function bfloatAbove(x: number): number {
  const words = new Uint32Array(1);
  const floats = new Float32Array(words.buffer);
  floats[0] = x;
  words[0] = (((words[0] as number) + 0xffff) & 0xffff0000) >>> 0;
  return floats[0] as number;
}

export interface Range {
  readonly scale: number;
  /** Of the offset scale · unit · z. */
  readonly z: number;
}

const unitOf = (bits: number): number => (bits === 8 ? 1 / 2 : 1 / 16);
/** The lowest code; the highest is one less than its negative. Keys of 8 bits have 7. */
const lowest = (bits: number, isValues: boolean): number => -(2 ** (bits === 8 && !isValues ? 6 : bits - 1));
const levels = (bits: number, isValues: boolean): number => -2 * lowest(bits, isValues) - 1;

export function rangeOf(numbers: readonly number[], bits: number, isValues: boolean): Range {
  const least = Math.min(...numbers);
  const most = Math.max(...numbers);
  const all = levels(bits, isValues);
  const low = lowest(bits, isValues);
  const unit = unitOf(bits);
  const reach = fround(fround(most / all) - fround(least / all));
  const scale = bfloatAbove(Math.max(reach, fround(Math.abs(least) / (32767 * unit + low))));
  if (scale === 0) return { scale, z: 0 };
  const z = even(fround(fround(fround(least / scale) - low) / unit));
  return { scale, z: Math.max(-32767, Math.min(32767, z)) };
}

const offsetOf = ({ scale, z }: Range, bits: number): number => fround(fround(scale * unitOf(bits)) * z);

export function codeOf(x: number, range: Range, bits: number, isValues: boolean): number {
  if (range.scale === 0) return 0;
  const low = lowest(bits, isValues);
  const code = even(fround(fround(x - offsetOf(range, bits)) / range.scale));
  return Math.max(low, Math.min(low + levels(bits, isValues), code));
}

/** What the codes of some numbers with one range stand for. */
export function coded(numbers: readonly number[], bits: number, isValues: boolean): number[] {
  const range = rangeOf(numbers, bits, isValues);
  return numbers.map((x) => codeOf(x, range, bits, isValues) * range.scale + offsetOf(range, bits));
}

/** int8 of numbers by the largest, and what they were divided by. */
function bytesOf(numbers: readonly number[]): { bytes: number[]; factor: number } {
  const most = Math.max(...numbers.map(Math.abs));
  const r = fround(127 / most);
  const ratio = Number.isFinite(r) && Number.isFinite(most) ? r : 0;
  return { bytes: numbers.map((x) => even(fround(x * ratio))), factor: fround(most / 127) };
}

/** Four sums, of every fourth number each, then of two and two. */
function sumByFour(numbers: readonly number[]): number {
  const lanes = [0, 0, 0, 0];
  for (const [i, x] of numbers.entries()) lanes[i % 4] = fround((lanes[i % 4] as number) + x);
  const [a, b, c, d] = lanes as [number, number, number, number];
  return fround(fround(a + b) + fround(c + d));
}

/** scale · ⟨q, key⟩ of the 32 keys [32][size] of a strip. */
export function scoresOfStrip(
  q: readonly number[],
  keys: readonly (readonly number[])[],
  bits: number,
  scale: number,
): number[] {
  const columns = q.map((_, i) => keys.map((key) => key[i] as number));
  const ranges = columns.map((column) => rangeOf(column, bits, false));
  const codes = columns.map((column, i) => column.map((x) => codeOf(x, ranges[i] as Range, bits, false)));
  const scaled = q.map((x, i) => fround(x * (ranges[i] as Range).scale));
  const { bytes, factor } = bytesOf(scaled);
  const sum = sumByFour(scaled.map((x, i) => fround(x * (ranges[i] as Range).z)));
  const base = fround(fround(sum * unitOf(bits)) * scale);
  return keys.map((_, t) => {
    const dot = bytes.reduce((total, byte, i) => total + byte * ((codes[i] as number[])[t] as number), 0);
    return fround(fround(fround(dot) * fround(factor * scale)) + base);
  });
}

/** Σ weight · value over whole strips of values [positions][size]. */
export function mixOfStrips(
  weights: readonly number[],
  values: readonly (readonly number[])[],
  bits: number,
): number[] {
  const size = (values[0] as readonly number[]).length;
  const wide = bits === 8 ? size : 32;
  const out: number[] = [];
  for (let begin = 0; begin < size; begin += wide) {
    const parts = values.map((value) => value.slice(begin, begin + wide));
    const ranges = parts.map((part) => rangeOf(part, bits, true));
    const scaled = weights.map((p, t) => fround(p * (ranges[t] as Range).scale));
    const sum = sumByFour(scaled.map((x, t) => fround(x * (ranges[t] as Range).z)));
    const base = fround(sum * unitOf(bits));
    const strips = Array.from({ length: weights.length / 32 }, (_, s) => bytesOf(scaled.slice(32 * s, 32 * s + 32)));
    for (let i = 0; i < (parts[0] as number[]).length; i++) {
      let total = base;
      for (const [s, { bytes, factor }] of strips.entries()) {
        const dot = bytes.reduce((sum, byte, t) => {
          const at = 32 * s + t;
          return sum + byte * codeOf((parts[at] as number[])[i] as number, ranges[at] as Range, bits, true);
        }, 0);
        total = fround(total + fround(fround(dot) * factor));
      }
      out.push(total);
    }
  }
  return out;
}

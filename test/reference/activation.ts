import { absMax, roundHalfEven } from "./rounding.ts";

const f32 = Math.fround;

/** x as int8: x[k] is about q[k] * scale. */
export interface Int8Activation {
  q: Int32Array;
  scale: number;
}

export function prepareInt8(x: Float32Array): Int8Activation {
  const q = new Int32Array(x.length);
  const amax = absMax(x);
  if (amax === 0) return { q, scale: 0 };
  const ratio = 127 / amax;
  for (let k = 0; k < x.length; k++) q[k] = roundHalfEven((x[k] as number) * ratio);
  return { q, scale: f32(amax / 127) };
}

/** Columns of one block, which shares a step, in a row of `cols` columns. */
export function blockColumns(cols: number): number {
  const bytes = Math.ceil(cols / 8);
  return bytes < 64 ? 64 : bytes < 512 ? 128 : 256;
}

/** Columns of one segment of a group, whose blocks are weighted by integers and summed exactly. */
export const segmentColumns = 32768;

/** The largest weight of a block. */
export const maxWeight = 2047;

/** The tables of one block of columns. */
export interface Lut8Block {
  /** First column. */
  start: number;
  /** Columns, padding included: a multiple of 8. */
  length: number;
  /** What one unit of a table entry is worth, in units of the token. */
  weight: number;
  /** [length / 4][16]: the entry for the 4 columns of a nibble and a pattern of signs (bit set: plus, clear: minus). */
  entries: Int32Array;
}

export interface Lut8Segment {
  /** The group of columns whose weight scale applies. */
  group: number;
  blocks: Lut8Block[];
}

export interface Lut8Activation {
  /** x times a power of two, padded with zeros to whole bytes of 8 columns. */
  normal: Float32Array;
  /** What an entry of weight 1 is worth. */
  unit: number;
  segments: Lut8Segment[];
  /** Undoes the power of two that x was multiplied by. */
  inversePower: number;
}

/** The bits 23..30 of a float32. */
export function exponentField(value: number): number {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  return (view.getUint32(0) >>> 23) & 0xff;
}

/** The sum of |x| over 8 columns, in the order in which a vector of four lanes is folded. */
function byteSum(x: Float32Array, start: number): number {
  const v = [0, 1, 2, 3].map((i) => f32(Math.abs(x[start + i] as number) + Math.abs(x[start + i + 4] as number))) as [
    number,
    number,
    number,
    number,
  ];
  const u0 = f32(v[0] + v[2]);
  const u1 = f32(v[1] + v[3]);
  return f32(u0 + u1);
}

/** The 16 sums of four values in units of 1/256, each rounded to a whole one, halves up (128) or down (127). */
function nibbleEntries(q: readonly number[], half: 127 | 128): number[] {
  const entries: number[] = [];
  for (let pattern = 0; pattern < 16; pattern++) {
    let sum = 0;
    for (let bit = 0; bit < 4; bit++) sum += (pattern >> bit) & 1 ? (q[bit] as number) : -(q[bit] as number);
    entries.push(Math.floor((sum + half) / 256));
  }
  return entries;
}

/** x normalised by a power of two, so that its largest magnitude is in [1, 2) (up to 4 at the top of the range). */
function normalise(x: Float32Array): { normal: Float32Array; inversePower: number } {
  const biased = Math.max(254 - exponentField(absMax(x)), 1);
  const power = 2 ** (biased - 127);
  // Padded to whole bytes of 8 columns.
  const normal = new Float32Array(Math.ceil(x.length / 8) * 8);
  for (let k = 0; k < x.length; k++) normal[k] = f32((x[k] as number) * power);
  return { normal, inversePower: 2 ** (127 - biased) };
}

interface Span {
  group: number;
  start: number;
  length: number;
  largest: number;
}

/** x as tables. `groupSize` is the weights': no block crosses the end of a group. */
export function prepareLut8(x: Float32Array, groupSize: number, size = blockColumns(x.length)): Lut8Activation {
  const { normal, inversePower } = normalise(x);
  const spans: Span[] = [];
  for (let groupStart = 0, group = 0; groupStart < x.length; groupStart += groupSize, group++) {
    const groupEnd = Math.min(groupStart + groupSize, x.length);
    for (let start = groupStart; start < groupEnd; start += size) {
      const length = Math.ceil((Math.min(start + size, groupEnd) - start) / 8) * 8;
      let largest = 0;
      for (let k = 0; k < length; k += 8) largest = Math.max(largest, byteSum(normal, start + k));
      spans.push({ group, start, length, largest });
    }
  }
  const largest = Math.max(...spans.map((span) => span.largest));
  // Two nibbles make a byte; 126 and not 127, so that both entries may round away from zero and still sum to 127.
  const unit = f32(f32(largest / 126) / maxWeight);
  const segments: Lut8Segment[] = [];
  for (const span of spans) {
    const last = segments.at(-1);
    const first = last?.blocks[0];
    const block = makeBlock(normal, span, largest, unit);
    if (last && first && last.group === span.group && span.start - first.start < segmentColumns)
      last.blocks.push(block);
    else segments.push({ group: span.group, blocks: [block] });
  }
  return { normal, unit, segments, inversePower };
}

function makeBlock(normal: Float32Array, { start, length, largest }: Span, most: number, unit: number): Lut8Block {
  const share = most === 0 ? 0 : Math.ceil(f32(f32(largest * maxWeight) / most));
  const weight = Math.min(Math.max(share, 1), maxWeight);
  const inverse = most === 0 ? 0 : f32(256 / f32(weight * unit));
  const entries = new Int32Array(length * 4);
  for (let k = 0; k < length; k += 4) {
    const q = [0, 1, 2, 3].map((i) => roundHalfEven(f32((normal[start + k + i] as number) * inverse)));
    // The low nibble of a byte rounds halves up, the high one down, so that these errors cancel.
    entries.set(nibbleEntries(q, k % 8 === 0 ? 128 : 127), k * 4);
  }
  return { start, length, weight, entries };
}

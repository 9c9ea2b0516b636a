// Keys and values of the tokens so far, in linear memory: what they are and where. Layout: assembly/model/README.md.
import type { Engine } from "../runtime/engine.ts";
import { BITS, isCoded, type KvKind, type KvLayout, STRIP } from "./kv-layout.ts";

/** Numbers of keys and values of a token, and how many layers there are of them. */
export interface KvShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
}

const FIRST_CAPACITY = 64;
/** Bytes of a record, and from it to its sides (assembly/model/cache.ts). */
const RECORD = 128;
const SIDES = [16, 48] as const;
/** Positions beside each other in strips of float keys, and numbers in tiles of values. */
const LANES = 16;

/** A region of `blocks` blocks, each with so many bytes a position: what grows keeps the beginning of each. */
interface Extent {
  readonly blocks: number;
  readonly bytes: number;
}

/** One side of all layers: keys or values. */
class Side {
  readonly kind: KvKind;
  /** Halves or codes; scales and offsets of codes; float32. What does not grow has as many positions as it ever needs. */
  readonly main: Extent | undefined;
  readonly ranges: Extent | undefined;
  readonly floats: Extent | undefined;
  readonly #isKeys: boolean;
  readonly #heads: number;
  readonly #size: number;
  readonly #layout: KvLayout;

  constructor(isKeys: boolean, { kvHeads, headSize }: KvShape, layout: KvLayout) {
    this.kind = isKeys ? layout.keys : layout.values;
    this.#isKeys = isKeys;
    this.#heads = kvHeads;
    this.#size = headSize;
    this.#layout = layout;
    const width = Math.ceil(headSize / LANES) * LANES;
    const bits = BITS[this.kind];
    const extent = (each: number): Extent =>
      isKeys
        ? { blocks: kvHeads, bytes: (width * each) / 8 }
        : { blocks: (kvHeads * width) / LANES, bytes: (LANES * each) / 8 };
    const groups = bits === 8 ? 1 : Math.ceil(width / STRIP);
    this.main = bits < 32 ? extent(bits) : undefined;
    if (isCoded(this.kind)) {
      this.ranges = isKeys ? { blocks: kvHeads, bytes: (4 * width) / STRIP } : { blocks: kvHeads * groups, bytes: 4 };
    }
    this.floats = bits === 16 ? undefined : extent(32);
  }

  /** Positions that float32 have room for, of a cache of that capacity. */
  floatPositions(capacity: number): number {
    const { sink, window } = this.#layout;
    // A strip more than what is needed: the last tokens can be taken back.
    return isCoded(this.kind) ? sink + window + STRIP : capacity;
  }

  bytes(capacity: number): number {
    const size = (extent: Extent | undefined, positions: number): number =>
      extent ? extent.blocks * extent.bytes * positions : 0;
    const grown = size(this.main, capacity) + size(this.ranges, capacity);
    return grown + size(this.floats, this.floatPositions(capacity));
  }

  /** The words of a record. */
  words([main, ranges, floats]: readonly [number, number, number], capacity: number): number[] {
    const { sink, window } = this.#layout;
    const all = this.floatPositions(capacity);
    const kept = isCoded(this.kind) ? sink : all;
    return [BITS[this.kind], main, ranges, capacity, floats, kept, isCoded(this.kind) ? all - sink : STRIP, window];
  }

  /** Position of the first float32 that is not the sink's of a sequence of that length, which goes on from there. */
  floatsFrom(length: number): number {
    if (!isCoded(this.kind)) return 0;
    const { sink, window } = this.#layout;
    return Math.min(length, Math.max(sink, length - (length % window)));
  }

  /** Bytes that `each` visits. */
  savedBytes(length: number): number {
    const { sink } = this.#layout;
    const each = this.kind === "f16" ? 2 : 4;
    const numbers = isCoded(this.kind) ? Math.min(sink, length) + length - this.floatsFrom(length) : length;
    const codes = Math.max(0, length - (length % STRIP) - sink);
    const extents = isCoded(this.kind) ? [this.main, this.ranges] : [];
    return extents.reduce(
      (sum, extent) => sum + (extent ? extent.blocks * extent.bytes * codes : 0),
      numbers * this.#heads * this.#size * each,
    );
  }

  // Byte offsets of the number `i` of a head's position among float32 or halves, of so many positions.
  #place(position: number, head: number, i: number, positions: number): number {
    const width = Math.ceil(this.#size / LANES) * LANES;
    const lane = this.#isKeys ? position % LANES : i % LANES;
    const before = this.#isKeys
      ? (position - lane) * this.#size + i * LANES
      : (i - lane) * positions + position * LANES;
    return head * width * positions + before + lane;
  }

  /**
   * Calls `visit` with what there is of a sequence of that length: pieces of regions (0 main, 1 ranges, 2 float32), bytes from the
   * region's beginning.
   */
  each(length: number, capacity: number, visit: (region: 0 | 1 | 2, offset: number, bytes: number) => void): void {
    const { sink, window } = this.#layout;
    const ring = window + STRIP;
    const coded = isCoded(this.kind);
    if (coded) {
      const end = length - (length % STRIP);
      for (const [region, extent] of [[0, this.main] as const, [1, this.ranges] as const]) {
        if (!extent || end <= sink) continue;
        const { blocks, bytes } = extent;
        for (let block = 0; block < blocks; block++) {
          visit(region, (block * capacity + sink) * bytes, (end - sink) * bytes);
        }
      }
    }
    const region = this.kind === "f16" ? 0 : 2;
    const each = this.kind === "f16" ? 2 : 4;
    const positions = coded ? this.floatPositions(capacity) : capacity;
    const from = this.floatsFrom(length);
    for (let position = 0; position < length; position++) {
      if (coded && position >= sink && position < from) continue;
      const at = coded && position >= sink ? sink + ((position - sink) % ring) : position;
      for (let head = 0; head < this.#heads; head++) {
        for (let i = 0; i < this.#size; i++) visit(region, each * this.#place(at, head, i, positions), each);
      }
    }
  }
}

type Addresses = [number, number, number];

export class KvCache {
  readonly layout: KvLayout;
  readonly #engine: Engine;
  readonly #sides: readonly [Side, Side];
  readonly #shape: KvShape;
  /** Regions of each layer: of keys, of values; 0: none. */
  #layers: readonly (readonly [Addresses, Addresses])[] = [];
  #records = 0;
  #capacity = 0;
  /** Positions that were written, and the first of those after the sink whose float32 are there. */
  #length = 0;
  #low = 0;
  #gone = false;

  constructor(engine: Engine, shape: KvShape, layout: KvLayout) {
    this.#engine = engine;
    this.#shape = shape;
    this.layout = layout;
    this.#sides = [new Side(true, shape, layout), new Side(false, shape, layout)];
  }

  /** Positions that there is room for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** The address that kernels want. */
  record(layer: number): number {
    return this.#records + layer * RECORD;
  }

  get #coded(): boolean {
    return isCoded(this.layout.keys) || isCoded(this.layout.values);
  }

  /** How many of `n` tokens from `position` on are appended before they attend: codes are made of a strip at a time. */
  chunk(position: number, n: number): number {
    return this.#coded ? Math.min(n, STRIP - (position % STRIP)) : n;
  }

  /** Bytes of all keys and values of so many positions. */
  bytes(positions: number): number {
    const capacity = Math.ceil(positions / STRIP) * STRIP;
    const [keys, values] = this.#sides;
    return this.#shape.layers * (keys.bytes(capacity) + values.bytes(capacity));
  }

  /**
   * Makes room for `positions`. Nothing has changed if memory does not suffice.
   *
   * @throws OutOfMemoryError
   */
  reserve(positions: number): void {
    if (this.#gone) throw new TypeError("session: this session was disposed");
    if (positions <= this.#capacity) return;
    const capacity = Math.ceil(Math.max(positions, FIRST_CAPACITY, 1.5 * this.#capacity) / STRIP) * STRIP;
    const { arena } = this.#engine;
    const { layers } = this.#shape;
    const made: number[] = [];
    const allocate = (bytes: number): number => {
      const address = arena.allocate(bytes);
      made.push(address);
      return address;
    };
    const before = this.#layers;
    let fresh: [Addresses, Addresses][];
    let records = this.#records;
    try {
      if (records === 0) records = allocate(layers * RECORD);
      fresh = Array.from({ length: layers }, (_, layer) => {
        const side = (s: 0 | 1): Addresses => this.#allocate(this.#sides[s], before[layer]?.[s], capacity, allocate);
        return [side(0), side(1)];
      });
    } catch (error) {
      for (const address of made) arena.release(address);
      throw error;
    }
    for (const [layer, sides] of fresh.entries()) {
      for (const s of [0, 1] as const) this.#move(this.#sides[s], before[layer]?.[s], sides[s], capacity);
    }
    this.#layers = fresh;
    this.#records = records;
    this.#capacity = capacity;
    this.#describe();
  }

  // Regions of a side; what does not grow stays where it is.
  #allocate(
    side: Side,
    before: Addresses | undefined,
    capacity: number,
    allocate: (bytes: number) => number,
  ): Addresses {
    const size = ({ blocks, bytes }: Extent, positions: number): number => blocks * bytes * positions;
    const { main, ranges, floats } = side;
    const stays = before && isCoded(side.kind) ? before[2] : 0;
    return [
      main ? allocate(size(main, capacity)) : 0,
      ranges ? allocate(size(ranges, capacity)) : 0,
      floats ? stays || allocate(size(floats, side.floatPositions(capacity))) : 0,
    ];
  }

  #move(side: Side, from: Addresses | undefined, to: Addresses, capacity: number): void {
    if (!from) return;
    const { arena } = this.#engine;
    for (const [i, extent] of [side.main, side.ranges, side.floats].entries()) {
      const [start, end] = [from[i] as number, to[i] as number];
      if (!extent || start === end) continue;
      for (let block = 0; block < extent.blocks; block++) {
        const bytes = this.#capacity * extent.bytes;
        const at = start + block * bytes;
        arena.bytes.copyWithin(end + block * capacity * extent.bytes, at, at + bytes);
      }
      arena.release(start);
    }
  }

  // Fills in the records.
  #describe(): void {
    const { kvHeads, headSize } = this.#shape;
    const words = new Int32Array(this.#engine.arena.memory.buffer);
    for (const [layer, sides] of this.#layers.entries()) {
      const at = this.record(layer);
      words.set([kvHeads, headSize], at / 4);
      for (const s of [0, 1] as const) {
        words.set(this.#sides[s].words(sides[s], this.#capacity), (at + SIDES[s]) / 4);
      }
    }
  }

  /** Takes note, beforehand, that positions before `end` are written. */
  writes(end: number): void {
    this.#length = end;
    this.#low = Math.max(this.#low, end - (this.layout.window + STRIP));
  }

  /**
   * Forgets all but the first `length` positions, or a few more: where tokens that were float32 are codes only by now, those
   * of the window are to be computed again, since later ones meet them as numbers.
   *
   * @returns how many are left
   */
  rewind(length: number): number {
    const kept = Math.min(length, this.#length);
    const { sink, window } = this.layout;
    const from = Math.max(sink, kept - (kept % window));
    if (this.#coded && kept > from && this.#low > from) {
      // From a multiple of the window on, or in the sink, nothing else is needed.
      const whole = Math.max(Math.min(sink, kept), kept - (kept % window));
      this.#low = whole;
      this.#length = whole;
      return whole;
    }
    this.#low = Math.min(this.#low, Math.max(kept, sink));
    this.#length = kept;
    return kept;
  }

  /** Bytes of `save`. */
  savedBytes(positions: number): number {
    const [keys, values] = this.#sides;
    return this.#shape.layers * (keys.savedBytes(positions) + values.savedBytes(positions));
  }

  /** What there is of the first `positions`, layer by layer, keys before values; the same bytes for the same tokens. */
  save(positions: number): Uint8Array {
    const out = new Uint8Array(this.savedBytes(positions));
    let at = 0;
    const { bytes } = this.#engine.arena;
    this.#each(positions, (place, length) => {
      out.set(bytes.subarray(place, place + length), at);
      at += length;
    });
    return out;
  }

  /** The reverse. */
  restore(positions: number, from: Uint8Array): void {
    this.reserve(positions);
    let at = 0;
    const { bytes } = this.#engine.arena;
    this.#each(positions, (place, length) => {
      bytes.set(from.subarray(at, at + length), place);
      at += length;
    });
    this.#length = positions;
    this.#low = Math.max(...this.#sides.map((side) => side.floatsFrom(positions)));
  }

  #each(positions: number, visit: (place: number, bytes: number) => void): void {
    for (const sides of this.#layers) {
      for (const s of [0, 1] as const) {
        this.#sides[s].each(positions, this.#capacity, (region, offset, bytes) =>
          visit(sides[s][region] + offset, bytes),
        );
      }
    }
  }

  dispose(): void {
    if (this.#gone) return;
    this.#gone = true;
    const { arena } = this.#engine;
    for (const sides of this.#layers) {
      for (const address of sides.flat()) if (address > 0) arena.release(address);
    }
    if (this.#records > 0) arena.release(this.#records);
    this.#layers = [];
    this.#records = 0;
    this.#capacity = 0;
  }
}

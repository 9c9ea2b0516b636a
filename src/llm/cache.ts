// Keys and values of the tokens so far, in linear memory. Layout: assembly/model/README.md.
import type { Engine } from "../runtime/engine.ts";
import type { ModelConfig } from "./config.ts";

/** Positions that a strip of keys holds. */
const STRIP = 16;
const FIRST_CAPACITY = 64;

interface LayerCache {
  keys: number;
  values: number;
}

export class KvCache {
  readonly #engine: Engine;
  readonly #layers: LayerCache[];
  readonly #heads: number;
  readonly #size: number;
  #capacity = 0;
  #gone = false;

  constructor(engine: Engine, { layers, kvHeads, headSize }: ModelConfig) {
    this.#engine = engine;
    this.#layers = layers.map(() => ({ keys: 0, values: 0 }));
    this.#heads = kvHeads;
    this.#size = headSize;
  }

  /** Positions that there is room for. */
  get capacity(): number {
    return this.#capacity;
  }

  keys(layer: number): number {
    return (this.#layers[layer] as LayerCache).keys;
  }

  values(layer: number): number {
    return (this.#layers[layer] as LayerCache).values;
  }

  // Float32 of a number of each head and position, padded to whole tiles of 16.
  get #padded(): number {
    return Math.ceil(this.#size / STRIP) * STRIP;
  }

  /** Bytes of all keys and values of so many positions. */
  bytes(positions: number): number {
    const capacity = Math.ceil(positions / STRIP) * STRIP;
    return 2 * this.#layers.length * this.#heads * this.#padded * capacity * 4;
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
    const bytes = this.#heads * this.#padded * capacity * 4;
    const fresh: LayerCache[] = [];
    try {
      for (const _ of this.#layers) fresh.push({ keys: arena.allocate(bytes), values: arena.allocate(bytes) });
    } catch (error) {
      // The second of a pair may be what failed.
      for (const { keys, values } of fresh) {
        arena.release(keys);
        arena.release(values);
      }
      throw error;
    }
    for (const [i, layer] of this.#layers.entries()) {
      const { keys, values } = fresh[i] as LayerCache;
      this.#move(layer, keys, values, capacity);
      if (this.#capacity > 0) {
        arena.release(layer.keys);
        arena.release(layer.values);
      }
      layer.keys = keys;
      layer.values = values;
    }
    this.#capacity = capacity;
  }

  #move(layer: LayerCache, keys: number, values: number, capacity: number): void {
    const { bytes } = this.#engine.arena;
    const before = this.#capacity;
    for (let head = 0; head < this.#heads; head++) {
      const from = layer.keys + head * this.#padded * before * 4;
      bytes.copyWithin(keys + head * this.#padded * capacity * 4, from, from + this.#size * before * 4);
      for (let tile = 0; tile < this.#padded / STRIP; tile++) {
        const place = head * (this.#padded / STRIP) + tile;
        const start = layer.values + place * before * STRIP * 4;
        bytes.copyWithin(values + place * capacity * STRIP * 4, start, start + before * STRIP * 4);
      }
    }
  }

  /** Keys and values of the first `positions`, as the numbers that they are: [layer][keys, values][position][head][size]. */
  read(positions: number): Float32Array {
    const size = this.#size;
    const out = new Float32Array(this.#layers.length * 2 * positions * this.#heads * size);
    this.#each(positions, (place, at) => {
      out[at] = this.#engine.arena.floats[place] as number;
    });
    return out;
  }

  /** The reverse of `read`. */
  write(positions: number, from: Float32Array): void {
    this.reserve(positions);
    this.#each(positions, (place, at) => {
      this.#engine.arena.floats[place] = from[at] as number;
    });
  }

  #each(positions: number, visit: (place: number, at: number) => void): void {
    const size = this.#size;
    const capacity = this.#capacity;
    let at = 0;
    for (const { keys, values } of this.#layers) {
      for (let position = 0; position < positions; position++) {
        for (let head = 0; head < this.#heads; head++) {
          const strip = keys / 4 + head * this.#padded * capacity + (position - (position % STRIP)) * size;
          for (let i = 0; i < size; i++) visit(strip + i * STRIP + (position % STRIP), at++);
        }
      }
      for (let position = 0; position < positions; position++) {
        for (let head = 0; head < this.#heads; head++) {
          const start = values / 4 + head * this.#padded * capacity + position * STRIP;
          for (let i = 0; i < size; i++) {
            visit(start + (i - (i % STRIP)) * capacity + (i % STRIP), at++);
          }
        }
      }
    }
  }

  dispose(): void {
    if (this.#gone) return;
    this.#gone = true;
    const { arena } = this.#engine;
    if (this.#capacity > 0) {
      for (const { keys, values } of this.#layers) {
        arena.release(keys);
        arena.release(values);
      }
    }
    this.#capacity = 0;
  }
}

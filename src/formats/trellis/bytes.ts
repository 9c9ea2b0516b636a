// Streams of 16 x 16 tiles, strip by strip of 16 rows; assembly/trellis/README.md has the drawing.
import type { Layout } from "../../matrix/layout.ts";

export const TILE = 16;
export const TILE_WEIGHTS = 256;
/** Bits of a state. */
const STATE_BITS = 16;
const LANES = 4;

/** Bytes of a tile. */
export const tileBytes = (bits: number): number => (TILE_WEIGHTS / 8) * bits;

/** Where the weight of a row and a column of a tile is in its stream: EXL3's order, that of a tensor core's operand. */
export function placeOf(row: number, col: number): number {
  return ((row & 7) << 5) | ((col & 6) << 2) | ((row >> 3) << 2) | ((col >> 3) << 1) | (col & 1);
}

let places: Uint8Array | undefined;
/** [row][col] of a tile. */
export function tilePlaces(): Uint8Array {
  places ??= Uint8Array.from({ length: TILE_WEIGHTS }, (_, i) => placeOf(i >> 4, i & 15));
  return places;
}

/**
 * Published tiles to stored ones: a tile's stream is MSB first in little-endian words of 32 bits; it is stored byte by byte,
 * a quarter of it a lane.
 *
 * @param trellis [column tile][row tile][16 · bits]
 */
export function writeTiles(
  bytes: Uint8Array,
  trellis: Uint16Array | Int16Array,
  rowTiles: number,
  bits: number,
  { byteCols }: Layout,
): void {
  const colTiles = byteCols / 2;
  const size = tileBytes(bits);
  for (let row = 0; row < rowTiles; row++) {
    for (let col = 0; col < colTiles; col++) {
      const from = ((col * rowTiles + row) * size) / 2;
      const to = (row * colTiles + col) * size;
      for (let i = 0; i < size; i++) {
        // Byte i of the stream: the half words of a word are swapped, and the bytes of each.
        const word = trellis[from + ((i >> 1) ^ 1)] as number;
        bytes[to + storedAt(i, size)] = i & 1 ? word & 255 : (word >> 8) & 255;
      }
    }
  }
}

const storedAt = (i: number, size: number): number => {
  const perLane = size / LANES;
  return (i % perLane) * LANES + Math.floor(i / perLane);
};

/** The states of a row, padding included. */
export function readStates(
  bytes: Uint8Array,
  row: number,
  bits: number,
  { byteCols }: Layout,
  states: Uint16Array,
): void {
  const colTiles = byteCols / 2;
  const size = tileBytes(bits);
  const places = tilePlaces();
  for (let col = 0; col < states.length; col++) {
    const tile = (Math.floor(row / TILE) * colTiles + (col >> 4)) * size;
    const end = ((places[(row % TILE) * TILE + (col % TILE)] as number) + 1) * bits;
    const first = (end - STATE_BITS + 8 * size) % (8 * size);
    let word = 0;
    for (let i = 0; i < 3; i++)
      word = (word << 8) | (bytes[tile + storedAt(((first >> 3) + i) % size, size)] as number);
    states[col] = word >> (8 - (first & 7));
  }
}

/** The published tile of a path of states, [16 · bits]. */
export function writeStream(states: Uint16Array, bits: number, out: Uint16Array): void {
  out.fill(0);
  const mask = (1 << bits) - 1;
  for (let place = 0; place < TILE_WEIGHTS; place++) {
    const code = (states[place] as number) & mask;
    for (let i = 0, at = place * bits; i < bits; i++, at++) {
      if ((code >> (bits - 1 - i)) & 1) {
        const word = (at >> 4) ^ 1;
        out[word] = (out[word] as number) | (0x8000 >> (at & 15));
      }
    }
  }
}

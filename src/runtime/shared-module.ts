// A module that imports a plain memory does not link to a shared one, nor the reverse. Only the limits of the import
// differ (WebAssembly core specification with threads, 5.3.8): flags 0x00 (minimum) or 0x01 (minimum, maximum) of plain
// memories, 0x03 (minimum, maximum) of shared ones.
import { rangeError } from "../lib/check.ts";

const IMPORT_SECTION = 2;
const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;
const SHARED = 3;
/** Pages of the largest memory of 32 bits: a memory with a smaller maximum links too. */
const MOST_PAGES = 65536;

/**
 * A copy of a module's bytes whose imported memory is shared; the bytes themselves if it is already.
 *
 * @throws RangeError for bytes that are not a module which imports a memory
 */
export function toShared(where: string, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const read = new Reader(where, bytes);
  if (bytes.length < 8 || String.fromCharCode(...bytes.subarray(0, 4)) !== "\0asm") read.fail("\\0asm at the start");
  read.at = 8;
  while (read.at < bytes.length) {
    const sectionAt = read.at;
    const id = read.byte();
    const size = read.integer();
    const start = read.at;
    if (size > bytes.length - start) read.fail(`a section of ${size} bytes`);
    if (id !== IMPORT_SECTION) {
      read.at = start + size;
      continue;
    }
    const limitsAt = memoryLimits(read);
    read.at = limitsAt;
    const flags = read.byte();
    if (flags === SHARED) return bytes;
    if (flags > 1) read.fail("limits 0, 1 or 3 of a memory");
    const minimum = read.integer();
    if (flags === 1) read.integer();
    const limits = [SHARED, ...leb(minimum), ...leb(MOST_PAGES)];
    const head = [IMPORT_SECTION, ...leb(size + limits.length - (read.at - limitsAt))];
    const parts = [
      bytes.subarray(0, sectionAt),
      head,
      bytes.subarray(start, limitsAt),
      limits,
      bytes.subarray(read.at),
    ];
    const shared = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let to = 0;
    for (const part of parts) {
      shared.set(part, to);
      to += part.length;
    }
    return shared;
  }
  return read.fail("an imported memory");
}

// Where the limits of the first imported memory are.
function memoryLimits(read: Reader): number {
  const count = read.integer();
  for (let i = 0; i < count; i++) {
    read.skipName();
    read.skipName();
    const kind = read.byte();
    if (kind === KIND.memory) return read.at;
    if (kind === KIND.function) read.integer();
    else if (kind === KIND.global) read.at += 2;
    else if (kind === KIND.table || kind === KIND.tag) {
      read.byte();
      const flags = read.integer();
      if (kind === KIND.table) read.integer();
      if (kind === KIND.table && flags & 1) read.integer();
    } else read.fail("an import of a known kind");
  }
  return read.fail("an imported memory");
}

class Reader {
  at = 0;
  readonly #where: string;
  readonly #bytes: Uint8Array;

  constructor(where: string, bytes: Uint8Array) {
    this.#where = where;
    this.#bytes = bytes;
  }

  byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) return this.fail("more bytes");
    this.at++;
    return byte;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  integer(): number {
    let value = 0;
    for (let i = 0; i < 5; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80 && value < 2 ** 32) return value;
    }
    return this.fail("an integer of 32 bits");
  }

  skipName(): void {
    const length = this.integer();
    this.at += length;
  }

  fail(expected: string): never {
    const length = this.#bytes.length;
    throw rangeError(`${this.#where}: module`, expected, `byte ${Math.min(this.at, length)} of ${length}`);
  }
}

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 0x80);
  }
}

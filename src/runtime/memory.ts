import { OutOfMemoryError } from "../lib/errors.ts";

const PAGE = 65536;
const ALIGN = 64;
const FIRST = 1024; // address 0 is never handed out, so that a forgotten pointer is not a valid one
// One page less than 4 GiB: a kernel's end pointer, just past the last byte, must not wrap to 0.
const MAX_PAGES = 65535;
// A shared memory reserves its maximum at once, which a browser may refuse.
const SHARED_PAGES = [MAX_PAGES, 32768, 16384, 8192];

interface Region {
  address: number;
  bytes: number;
}

/** Bytes of linear memory: held by matrices and scratch now, the most ever held, and the size of the memory. */
export interface MemoryUse {
  readonly used: number;
  readonly peak: number;
  readonly capacity: number;
}

/**
 * The allocator over one linear memory: first fit in an ordered list of free regions, neighbours joined on release.
 * Kernels never allocate and never grow the memory; only this class does.
 */
export class Arena implements MemoryUse {
  readonly memory: WebAssembly.Memory;
  readonly #maximum: number;
  #free: Region[];
  #sizes = new Map<number, number>();
  #used = 0;
  #peak = 0;
  #bytes: Uint8Array;
  #floats: Float32Array;

  /** @param shared whether workers are to see the memory */
  constructor(shared = false) {
    [this.memory, this.#maximum] = shared
      ? sharedMemory()
      : [new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES }), MAX_PAGES];
    this.#free = [{ address: FIRST, bytes: PAGE - FIRST }];
    this.#bytes = new Uint8Array(this.memory.buffer);
    this.#floats = new Float32Array(this.memory.buffer);
  }

  get used(): number {
    return this.#used;
  }

  get peak(): number {
    return this.#peak;
  }

  get capacity(): number {
    return this.memory.buffer.byteLength;
  }

  /** A view of all memory, made anew after growth. Do not keep it across an allocation. */
  get bytes(): Uint8Array {
    if (this.#bytes.buffer !== this.memory.buffer) this.#bytes = new Uint8Array(this.memory.buffer);
    return this.#bytes;
  }

  /** The same memory as float32; index = address / 4. */
  get floats(): Float32Array {
    if (this.#floats.buffer !== this.memory.buffer) this.#floats = new Float32Array(this.memory.buffer);
    return this.#floats;
  }

  /** The address of `bytes` bytes, a multiple of 64. The content is whatever was there. */
  allocate(bytes: number): number {
    const size = Math.ceil(Math.max(bytes, 1) / ALIGN) * ALIGN;
    let index = this.#free.findIndex((region) => region.bytes >= size);
    if (index < 0) {
      this.#grow(size);
      index = this.#free.length - 1;
    }
    const region = this.#free[index] as Region;
    const address = region.address;
    region.address += size;
    region.bytes -= size;
    if (region.bytes === 0) this.#free.splice(index, 1);
    this.#sizes.set(address, size);
    this.#used += size;
    this.#peak = Math.max(this.#peak, this.#used);
    return address;
  }

  release(address: number): void {
    const bytes = this.#sizes.get(address);
    if (bytes === undefined) throw new Error(`lowbit: released address ${address}, which is not allocated`);
    this.#sizes.delete(address);
    this.#used -= bytes;
    const free = this.#free;
    let after = free.findIndex((region) => region.address > address);
    if (after < 0) after = free.length;
    const next = free[after];
    const previous = free[after - 1];
    const joinsNext = next !== undefined && address + bytes === next.address;
    if (previous !== undefined && previous.address + previous.bytes === address) {
      previous.bytes += bytes;
      if (joinsNext) {
        previous.bytes += next.bytes;
        free.splice(after, 1);
      }
    } else if (joinsNext) {
      next.address = address;
      next.bytes += bytes;
    } else {
      free.splice(after, 0, { address, bytes });
    }
  }

  // Growing is slow in some engines (up to 250 µs a call), so it goes in steps of an eighth of what there is.
  #grow(size: number): void {
    const end = this.capacity;
    const last = this.#free.at(-1);
    const tail = last !== undefined && last.address + last.bytes === end ? last : undefined;
    const needed = Math.ceil((size - (tail?.bytes ?? 0)) / PAGE);
    const room = this.#maximum - end / PAGE;
    const wanted = Math.min(Math.max(needed, Math.ceil(end / PAGE / 8)), room);
    if (needed > room || (!this.#tryGrow(wanted) && !this.#tryGrow(needed))) {
      throw new OutOfMemoryError(
        `lowbit: out of memory: ${size} bytes more are needed, ${this.#used} are in use and memory cannot grow from ` +
          `${end} bytes by ${needed * PAGE} (${this.#limit()}): dispose() what is no longer ` +
          "needed, or split the weights over several init() instances",
      );
    }
    const added = this.capacity - end;
    if (tail) tail.bytes += added;
    else this.#free.push({ address: end, bytes: added });
  }

  #limit(): string {
    if (this.#maximum === MAX_PAGES) return "the limit of 32-bit WebAssembly is 4 GiB";
    return `this runtime allows a shared memory of ${(this.#maximum * PAGE) / 2 ** 20} MiB; with one thread there is more`;
  }

  #tryGrow(pages: number): boolean {
    try {
      this.memory.grow(pages);
      return true;
    } catch {
      return false;
    }
  }
}

function sharedMemory(): [memory: WebAssembly.Memory, maximum: number] {
  for (const maximum of SHARED_PAGES) {
    try {
      return [new WebAssembly.Memory({ initial: 1, maximum, shared: true }), maximum];
    } catch {
      // The next one is smaller.
    }
  }
  throw new OutOfMemoryError(
    "lowbit: out of memory: this runtime refuses a shared memory of any useful size; use one thread",
  );
}

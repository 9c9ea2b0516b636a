import { OutOfMemoryError } from "../lib/errors.ts";

const PAGE = 65536;
const ALIGN = 64;
const FIRST = 1024; // address 0 is never handed out, so that a forgotten pointer is not a valid one
// One page less than 4 GiB: a kernel's end pointer, just past the last byte, must not wrap to 0.
const MAX_PAGES = 65535;
// A runtime may refuse a large maximum: a shared memory reserves it at once, and so do some engines for any memory.
const MAXIMA = [MAX_PAGES, 32768, 16384, 8192, 4096, 2048];

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
  readonly #shared: boolean;
  #free: Region[];
  #sizes = new Map<number, number>();
  #used = 0;
  #peak = 0;
  #bytes: Uint8Array;
  #floats: Float32Array;

  constructor({ memory, maximum, shared }: Reserved) {
    this.memory = memory;
    this.#maximum = maximum;
    this.#shared = shared;
    this.#free = [{ address: FIRST, bytes: PAGE - FIRST }];
    this.#bytes = new Uint8Array(this.memory.buffer);
    this.#floats = new Float32Array(this.memory.buffer);
  }

  /** Whether workers may see it. */
  get shared(): boolean {
    return this.#shared;
  }

  get used(): number {
    return this.#used;
  }

  get peak(): number {
    return this.#peak;
  }

  get capacity(): number {
    return this.#bytes.length;
  }

  /** A view of all memory, made anew after growth. Do not keep it across an allocation. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The same memory as float32; index = address / 4. */
  get floats(): Float32Array {
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

  /** What `body` returns of an address with at least `bytes` bytes, which are its own until then. */
  lend<T>(bytes: number, body: (address: number) => T): T {
    const address = this.allocate(bytes);
    try {
      return body(address);
    } finally {
      this.release(address);
    }
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
    const kind = this.#shared ? "shared memory" : "memory";
    return `this runtime allows a ${kind} of ${(this.#maximum * PAGE) / 2 ** 20} MiB at most`;
  }

  #tryGrow(pages: number): boolean {
    try {
      this.memory.grow(pages);
    } catch {
      return false;
    }
    this.#bytes = new Uint8Array(this.memory.buffer);
    this.#floats = new Float32Array(this.memory.buffer);
    return true;
  }
}

/** A memory that an arena may have. */
export interface Reserved {
  readonly memory: WebAssembly.Memory;
  /** Pages that it can grow to. */
  readonly maximum: number;
  readonly shared: boolean;
}

/**
 * A memory of one page that can grow to the largest maximum the runtime allows.
 *
 * @param shared whether workers are to see it
 * @throws OutOfMemoryError where even the smallest is refused
 */
export function reserveMemory(shared: boolean): Reserved {
  let reason: unknown;
  for (const maximum of MAXIMA) {
    try {
      return { memory: new WebAssembly.Memory({ initial: 1, maximum, ...(shared && { shared }) }), maximum, shared };
    } catch (error) {
      reason = error;
    }
  }
  const least = ((MAXIMA.at(-1) as number) * PAGE) / 2 ** 20;
  throw new OutOfMemoryError(
    `lowbit: out of memory: this runtime refuses a ${shared ? "shared memory" : "memory"} that can grow to ${least} MiB ` +
      `(${reason instanceof Error ? reason.message : String(reason)})`,
    { cause: reason },
  );
}

import type { Machine, Variant } from "../kernels/types.ts";
import type { MemoryUse } from "./memory.ts";

/** What is in use, and why. */
export interface Features {
  /** The binary in use. */
  readonly variant: Variant;
  /** Whether this runtime has relaxed SIMD and passed the known-answer probe; unknown where it was not tried. */
  readonly relaxed: boolean;
  /** Why relaxed SIMD is not in use, where it is not. */
  readonly relaxedReason?: string;
  /** Threads in use, the calling one included: 1 from when a worker died, or `dispose` was called. */
  readonly threads: number;
  /** Why there are fewer threads than asked for, where there are. */
  readonly threadsReason?: string;
  /**
   * How int8 activations meet codes: dot products with sums in 32-bit lanes where that is one instruction, "u8" if it takes
   * codes beyond 127 as unsigned bytes (AVX-VNNI), "s8" if as signed ones (ARM), "i32" if neither; else in 16-bit lanes
   * ("i16"); on ARM without an instruction for them by 16-bit products that are added ("mul").
   */
  readonly dot: Machine["dot"];
  /** How `bitplane` counts bits: by an instruction where there is one for vectors (ARM), else by an adder of bits. */
  readonly popcnt: "native" | "sliced";
}

// (module (func (result v128) (i32x4.relaxed_dot_i8x16_i7x16_add_s (v128.const 0) (v128.const 0) (v128.const 0))))
const zeros = [0xfd, 0x0c, ...new Array<number>(16).fill(0)];
const body = [0x00, ...zeros, ...zeros, ...zeros, 0xfd, 0x93, 0x02, 0x0b];
const relaxedModule = /* @__PURE__ */ new Uint8Array([
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x0a, body.length + 2, 0x01, body.length, ...body],
]);

/** Whether the runtime accepts relaxed SIMD. Validating works everywhere, also where compiling is forbidden. */
export function acceptsRelaxed(): boolean {
  return WebAssembly.validate(relaxedModule);
}

/** What `init` resolves to: a loaded binary and its memory. Pass it to the functions of a format. */
export interface Lowbit {
  /** As things are: where a worker dies it is another object, with one thread. */
  readonly features: Features;
  readonly memory: MemoryUse;
  /**
   * Ends the workers; what an asynchronous call has under way is completed first. Matrices stay what they are and compute
   * on the calling thread. Doing it twice is harmless, and a process ends without it.
   */
  dispose(): void;
  [Symbol.dispose](): void;
}

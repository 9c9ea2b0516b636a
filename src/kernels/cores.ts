// The cores of assembly/: what a new one adds its line to.
import { codebook } from "./codebook.ts";
import { dense } from "./dense.ts";
import { dot } from "./dot.ts";
import { lut } from "./lut.ts";
import { minifloat } from "./minifloat.ts";
import { pair } from "./pair.ts";
import { popcount } from "./popcount.ts";
import { pvq } from "./pvq.ts";
import { trellis } from "./trellis.ts";
import { vq } from "./vq.ts";

export const cores = { lut, dot, codebook, pair, popcount, vq, pvq, trellis, dense, minifloat } as const;

type NamesOf<C> = C extends { readonly formats: infer F } ? keyof F : never;

/** What kernels tell apart. A public format may use several (codebook) and several may use one (ptqtp is bcq). */
export type FormatName = NamesOf<(typeof cores)[keyof typeof cores]> & string;

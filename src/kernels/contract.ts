// What a kernel is asked for.

export type Variant = "relaxed" | "simd";
/** "bits" is of bitplane, which has no other. */
export type Activation = "int8" | "lut8" | "f32" | "bits";

export const ACTIVATIONS: readonly Activation[] = ["int8", "lut8", "f32", "bits"];

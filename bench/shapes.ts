import { readdirSync, readFileSync } from "node:fs";

/** A layer of a real model, from bench/shapes. Without `quick` it is left out of a quick run. */
export interface Shape {
  readonly name: string;
  readonly where: string;
  readonly rows: number;
  readonly cols: number;
  readonly quick?: { readonly tokens: readonly number[]; readonly activations: readonly string[] };
}

const ALL_TOKENS = [1, 4, 32, 128];

/** From the smallest to the largest, so that the kernels have left the baseline compiler before a call takes long. */
export function loadShapes(quick: boolean): Shape[] {
  const folder = new URL("./shapes/", import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith(".json"))
    .map((file) => JSON.parse(readFileSync(new URL(file, folder), "utf8")) as Shape)
    .filter((shape) => !quick || shape.quick !== undefined)
    .sort((a, b) => a.rows * a.cols - b.rows * b.cols);
}

export function tokensOf(shape: Shape, quick: boolean): readonly number[] {
  return quick && shape.quick ? shape.quick.tokens : ALL_TOKENS;
}

export function hasActivation(shape: Shape, quick: boolean, activation: string): boolean {
  return !quick || shape.quick === undefined || shape.quick.activations.includes(activation);
}

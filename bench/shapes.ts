import { readdirSync, readFileSync } from "node:fs";

/** A layer of a real model, from bench/shapes. Without `quick` it is left out of a quick run. */
export interface Shape {
  readonly name: string;
  readonly where: string;
  readonly rows: number;
  readonly cols: number;
  readonly quick?: {
    /** By number of tokens. */
    readonly activations: Readonly<Record<string, readonly string[]>>;
    /** Labels of formats; all of them without it. */
    readonly formats?: readonly string[];
  };
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

export function tokensOf({ quick }: Shape, isQuick: boolean): readonly number[] {
  return isQuick && quick ? Object.keys(quick.activations).map(Number) : ALL_TOKENS;
}

/** Whether a quick run measures it. */
export function inQuick({ quick }: Shape, n: number, format: string, activation: string): boolean {
  if (!quick) return false;
  return (quick.activations[n]?.includes(activation) ?? false) && (quick.formats?.includes(format) ?? true);
}

import { execFileSync } from "node:child_process";
import { median } from "./measure.ts";
import type { Shape } from "./shapes.ts";

/** Runs a native yardstick in step with the rounds of a group, so that it sees the machine in the same state. */
export class Native {
  readonly #file: string;
  readonly #shape: Shape;
  readonly #samples = new Map<string, number[]>();

  constructor(file: string, shape: Shape) {
    this.#file = file;
    this.#shape = shape;
  }

  run(): void {
    const text = execFileSync(this.#file, [String(this.#shape.rows), String(this.#shape.cols)], { encoding: "utf8" });
    for (const [, name = "", value] of text.matchAll(/(\S+)=([\d.]+)/g)) {
      const samples = this.#samples.get(name) ?? [];
      this.#samples.set(name, samples);
      samples.push(Number(value));
    }
    if (this.#samples.size === 0) throw new Error(`--native: ${this.#file} printed no name=number pair`);
  }

  /** The median Gw/s of the first number it prints: what the column "x native" divides by. */
  get yardstick(): number {
    const [first = []] = this.#samples.values();
    return median(first);
  }

  /** "i2s 76.3 (74.0-78.1), lut 117 (110-119) Gw/s": median, minimum and maximum. */
  summary(): string {
    const parts = [...this.#samples].map(([name, samples]) => {
      const range = `${Math.min(...samples).toFixed(1)}-${Math.max(...samples).toFixed(1)}`;
      return `${name} ${median(samples).toFixed(1)} (${range})`;
    });
    return `${parts.join(", ")} Gw/s`;
  }
}

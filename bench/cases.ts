import type { Lowbit, Matrix } from "lowbit";
import { type Activation, candidates, type FormatName, type Kernel, kernels, type Variant } from "../src/registry.ts";
import { formats } from "./formats.ts";
import { CHECK_TOKENS, type Layer, Reference } from "./layer.ts";
import { type Run, sink } from "./measure.ts";
import type { Shape } from "./shapes.ts";

/** What is timed side by side: a kernel of the library, a scalar baseline or the read loop. */
export interface Case {
  readonly role: "kernel" | "scalar" | "read";
  readonly kernel: string;
  readonly format: FormatName | null;
  readonly activation: Activation | null;
  readonly variant: string;
  readonly threads: number;
  /** Bytes of the whole layer's weights in this form. */
  readonly bytes: number;
  /** How many times longer the whole layer with n tokens takes than one `run`. */
  scale(n: number): number;
  readonly run: Run;
  readonly nmse: number | null;
}

/** The library loaded with one variant and thread count. */
export interface Loaded {
  readonly lb: Lowbit;
  readonly variant: Variant;
  readonly threads: number;
}

/** A row of the registry on one loaded library. */
export interface Job {
  readonly kernel: Kernel;
  readonly loaded: Loaded;
}

export function makeJobs(loaded: readonly Loaded[]): Job[] {
  return kernels.flatMap((kernel) =>
    loaded
      .filter(({ variant }) => candidates(kernel.op, kernel.format, kernel.activation, variant).includes(kernel))
      .map((one) => ({ kernel, loaded: one })),
  );
}

/** A gemv kernel takes many tokens too, one after another: beside gemm's own it shows from how many on those pay. */
export function takes({ kernel }: Job, n: number): boolean {
  return kernel.op === "gemv" || n > 1;
}

/** What --filter is matched against. */
export function label({ kernel, loaded }: Job, { rows, cols }: Shape, n: number): string {
  const { format, activation, name } = kernel;
  return `${format} ${activation} ${loaded.variant} ${rows}x${cols} n=${n} threads=${loaded.threads} ${name}`;
}

/** The packed matrices of one layer, made when a job first needs them. */
export class Matrices {
  readonly #layer: Layer;
  readonly #made: { readonly lb: Lowbit; readonly matrix: Matrix }[] = [];
  readonly #codes = new Map<FormatName, Uint8Array>();
  readonly #references = new Map<FormatName, Reference>();
  readonly #out: Float32Array;

  constructor(layer: Layer, maxTokens: number) {
    this.#layer = layer;
    this.#out = new Float32Array(layer.shape.rows * maxTokens);
  }

  codes(format: FormatName): Uint8Array {
    const { rows, cols } = this.#layer.shape;
    return getOrMake(this.#codes, format, () => formats[format].randomCodes(rows, cols));
  }

  /** The job on the first n tokens, its answer compared with the reference. */
  makeCase(job: Job, n: number): Case {
    const { kernel, loaded } = job;
    const { format, activation } = kernel;
    const { rows, cols } = this.#layer.shape;
    const matrix = this.#matrix(job, n);
    const y = this.#out.subarray(0, n * rows);
    const compute = (x: Float32Array): void => {
      if (n === 1) matrix.gemv(x, y);
      else matrix.gemm(x, n, y);
    };
    const tokens = (first: number): Float32Array => this.#layer.x.subarray(first * cols, (first + n) * cols);
    const x = tokens(0);
    const run = (): void => {
      compute(x);
      sink.total += y[0] as number;
    };
    const reference = getOrMake(
      this.#references,
      format,
      () => new Reference(this.#layer, formats[format], this.codes(format)),
    );
    const nmse = reference.nmse(n, CHECK_TOKENS, (first) => {
      y.fill(Number.NaN);
      compute(tokens(first));
      return y;
    });
    return {
      role: "kernel",
      kernel: kernel.name,
      format,
      activation,
      variant: loaded.variant,
      threads: loaded.threads,
      bytes: matrix.byteLength,
      scale: () => 1,
      run,
      nmse,
    };
  }

  dispose(): void {
    for (const { matrix } of this.#made) matrix.dispose();
  }

  /** A matrix that runs the job's kernel. Jobs share it where they can: the weights are the largest thing here. */
  #matrix({ kernel, loaded: { lb } }: Job, n: number): Matrix {
    const { format, activation, name } = kernel;
    const runs = (matrix: Matrix): boolean => name === (n === 1 ? matrix.kernel : matrix.gemmKernel);
    const shared = this.#made.find((made) => made.lb === lb && made.matrix.format === format && runs(made.matrix));
    if (shared) return shared.matrix;
    const { shape, scales } = this.#layer;
    const { rows, cols } = shape;
    const codes = this.codes(format);
    const matrix = formats[format].pack(lb, { rows, cols, codes, scales, activation, kernel: name });
    this.#made.push({ lb, matrix });
    if (!runs(matrix)) throw new Error(`the kernel was forced, but gemv: ${matrix.kernel}, gemm: ${matrix.gemmKernel}`);
    return matrix;
  }
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

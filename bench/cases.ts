import type { Lowbit } from "lowbit";
import { candidates, kernels, suitable } from "../src/kernels/registry.ts";
import type { Activation, Kernel, Variant } from "../src/kernels/types.ts";
import type { BenchFormat, BenchMatrix, BenchWeights } from "./formats/format.ts";
import { benchFormats } from "./formats/index.ts";
import { CHECK_TOKENS, type Layer, Reference } from "./layer.ts";
import { type Run, sink } from "./measure.ts";
import type { Shape } from "./shapes.ts";

/** What is timed side by side: a kernel of the library, a scalar baseline or the read loop. */
export interface Case {
  readonly role: "kernel" | "scalar" | "read";
  readonly kernel: string;
  /** The label of the bench format; null: not in any of them. */
  readonly format: string | null;
  readonly activation: Activation | null;
  readonly variant: string;
  readonly threads: number;
  /** Bytes of the whole layer's weights in this form. */
  readonly bytes: number;
  /** How many times longer the whole layer with n tokens takes than one `run`. */
  scale(n: number): number;
  readonly run: Run;
  readonly nmse: number | null;
  /** BenchFormat.rounded */
  readonly rounded?: boolean;
}

/** The library loaded with one variant and thread count. */
export interface Loaded {
  readonly lb: Lowbit;
  readonly variant: Variant;
  readonly threads: number;
}

/** A row of the registry on one loaded library, with one kind of weights. */
export interface Job {
  readonly kernel: Kernel;
  readonly format: BenchFormat;
  readonly loaded: Loaded;
}

export function makeJobs(loaded: readonly Loaded[]): Job[] {
  return benchFormats.flatMap((format) =>
    kernels
      .filter((kernel) => kernel.format === format.format)
      .flatMap((kernel) =>
        loaded
          .filter(({ variant }) => candidates(kernel.op, kernel.format, kernel.activation, variant).includes(kernel))
          .map((one) => ({ kernel, format, loaded: one })),
      ),
  );
}

/** A gemv kernel takes many tokens too, one after another: beside gemm's own it shows from how many on those pay. */
export function takes({ kernel }: Job, n: number): boolean {
  return kernel.op === "gemv" || n > 1;
}

/** Whether the library would take this kernel for n tokens, on this machine and without being asked to. */
export function isChosen({ kernel, loaded }: Job, n: number): boolean {
  const chosen = (op: Kernel["op"]): Kernel | undefined =>
    suitable(candidates(op, kernel.format, kernel.activation, loaded.variant), loaded.lb.features);
  const gemm = chosen("gemm");
  const gemv = chosen("gemv");
  return kernel === (gemm && n >= ((gemv?.fromTokens ?? gemm.fromTokens) as number) ? gemm : gemv);
}

/** What --filter is matched against. */
export function label({ kernel, format, loaded }: Job, { rows, cols }: Shape, n: number): string {
  const { activation, name } = kernel;
  return `${format.label} ${activation} ${loaded.variant} ${rows}x${cols} n=${n} threads=${loaded.threads} ${name}`;
}

interface Made {
  readonly lb: Lowbit;
  readonly format: BenchFormat;
  /** The kernel that was asked for. */
  readonly forced: string | undefined;
  readonly matrix: BenchMatrix;
}

/** The packed matrices of one layer, made when a job first needs them. */
export class Matrices {
  readonly #layer: Layer;
  readonly #made: Made[] = [];
  readonly #weights = new Map<BenchFormat, BenchWeights>();
  readonly #references = new Map<BenchFormat, Reference>();
  readonly #out: Float32Array;

  constructor(layer: Layer, maxTokens: number) {
    this.#layer = layer;
    this.#out = new Float32Array(layer.shape.rows * maxTokens);
  }

  weights(format: BenchFormat): BenchWeights {
    const { rows, cols } = this.#layer.shape;
    return getOrMake(this.#weights, format, () => format.make(rows, cols));
  }

  /** The job on the first n tokens, its answer compared with the reference. */
  makeCase(job: Job, n: number): Case {
    const { kernel, format, loaded } = job;
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
    const reference = getOrMake(this.#references, format, () => new Reference(this.#layer, this.weights(format)));
    const nmse = reference.nmse(n, CHECK_TOKENS, (first) => {
      y.fill(Number.NaN);
      compute(tokens(first));
      return y;
    });
    return {
      role: "kernel",
      kernel: kernel.name,
      format: format.label,
      activation: kernel.activation,
      variant: loaded.variant,
      threads: loaded.threads,
      bytes: matrix.byteLength,
      scale: () => 1,
      run,
      nmse,
      rounded: format.rounded ?? false,
    };
  }

  dispose(): void {
    for (const { matrix } of this.#made) matrix.dispose();
  }

  /** A matrix that runs the job's kernel. Jobs share it where they can: packing takes longer than all else here. */
  #matrix(job: Job, n: number): BenchMatrix {
    const { kernel, format, loaded } = job;
    const { lb } = loaded;
    const { op, activation, name } = kernel;
    const chosen = isChosen(job, n);
    const shared = this.#made.find(({ matrix, forced, ...made }) => {
      if (made.lb !== lb || made.format !== format || matrix.activation !== activation) return false;
      return n === 1 ? name === matrix.kernel : forced === name || (forced === undefined && chosen);
    });
    if (shared) return shared.matrix;
    // What the library chooses for one token and for many is in one matrix.
    const forced = chosen ? undefined : name;
    const matrix = this.weights(format).pack(lb, { activation, kernel: forced });
    this.#made.push({ lb, format, forced, matrix });
    const runs = op === "gemm" ? matrix.gemmKernel : matrix.kernel;
    if (runs !== name) throw new Error(`expected ${name}, but the matrix runs ${runs}`);
    return matrix;
  }
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

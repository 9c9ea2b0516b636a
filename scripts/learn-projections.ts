// Learns the projections of src/formats/lift/projections.ts: M [dims, lifted] with w ≈ M b, b in {-1, 1}^lifted, for w of
// unit Gaussians (LiftQuant, section 3, where M is learned by gradients of a soft minimum).
//
//   npx tsx scripts/learn-projections.ts            all of them, 20 to 30 minutes of one core
//   npx tsx scripts/learn-projections.ts 24to10     only that one, the others stay
//   npx tsx scripts/learn-projections.ts --measure  the error of those that are shipped, about two minutes
//
// Alternating minimisation over fresh samples: the signs of a batch, then least squares M = (Σ w bᵀ)(Σ b bᵀ)^-1 of sums
// that forget: quickly at first, slowly in the end. Noise on what the signs are found for takes the place of an annealed
// temperature. Every seed is fixed, and only Math.log and Math.cos of the samples may differ between engines.

import { writeFileSync } from "node:fs";
import { type ProjectionName, projectionData, shippedProjection } from "../src/formats/lift/projections.ts";
import { cholesky, type Projection, signSearch } from "../src/formats/lift/signs.ts";
import { random } from "../test/lib/random.ts";

const NAMES = [
  ...["4to2", "5to2", "6to2", "8to3"],
  ...["20to16", "12to8", "40to25", "14to8", "16to8", "24to12", "32to16", "22to10"],
  ...["24to10", "20to8", "24to9", "24to8", "28to8", "32to8"],
];

/** With more bits there are more local minima: noise that decreases, and no memory of what it did. */
const isFine = ({ lifted, dims }: Shape): boolean => lifted / dims > 2.5;
/** Starts from random matrices; small ones are cheap, and more of them end in a poor minimum. */
const restarts = (shape: Shape): number => (shape.lifted <= 8 || isFine(shape) ? 8 : 2);
const SEARCH: Stage = { rounds: 30, vectors: 4000, keep: 0.5, beam: 32 };
const FINE_SEARCH: Stage = { rounds: 45, vectors: 2500, keep: 0, beam: 32, noise: 2.4, step: 1.3 };
const FINISH: Stage = { rounds: 20, vectors: 8000, keep: 0.85, beam: 32 };
const LONG_FINISH: Stage = { rounds: 16, vectors: 10000, keep: 0.9, beam: 64 };
/** For a deviation of 0.2 % of the error, or 0.06 % of what was searched for longer. */
const measuredVectors = (name: string): number => (name in STARTS ? 300000 : 40000);
/** Entries are stored as int16 multiples of this. */
const UNIT = 2 ** -14;

/**
 * Where random starts end in poor minima: int8 [dims, lifted], multiples of 2^-7, in base64, found by the same search with 3000
 * rounds, noise and steps from there on again and again, the best kept. FINISH is then all that is left.
 */
const STARTS: Readonly<Record<string, string>> = {
  "24to8":
    "4gAL6O/4+fkT4Afe5Qz9s9/Z1AApKh/y/tMNzfLQEuEO0CgJGP8YFT4LCf8aFfDr5/gW+wPz3sUTK/XNC8PRBwglCQQLDxYc3Psc" +
    "3wofChcf+ucNA/zpC+81wAoU0c/fJfj8HBP079rQIQn/3v338hP85MYt79/LE/fm/ujiKwgrFcjN6iEFDA0U99vWBhrc1QEq9Rst" +
    "3fr3Bvb22h45AhsXDd/cLO0K7D/ZH9D75RMe9SbpJvcL5CIZ9dj7/tgG",
};
const START_UNIT = 2 ** -7;

interface Shape {
  readonly lifted: number;
  readonly dims: number;
}

interface Stage {
  /** Batches, and vectors of one. */
  readonly rounds: number;
  readonly vectors: number;
  /** What the sums of earlier batches are multiplied by. */
  readonly keep: number;
  readonly beam: number;
  /** Deviation of what is added to w before its signs are found, in units of 2^-bits; falls to 0 over two thirds. */
  readonly noise?: number;
  /** How far M goes towards the least squares, 1 being there; 1 in the last quarter. */
  readonly step?: number;
}

type Gaussian = () => number;

function shapeOf(name: string): Shape {
  const [lifted, dims] = name.split("to").map(Number) as [number, number];
  return { lifted, dims };
}

/** Improves a projection; returns the mean error per weight over the last quarter of the batches. */
function improve(start: Projection, stage: Stage, gaussian: Gaussian): { projection: Projection; error: number } {
  const { dims, lifted } = start;
  const products = new Float64Array(dims * lifted); // Σ w bᵀ
  const gram = new Float64Array(lifted * lifted); // Σ b bᵀ
  const { noise = 0, step = 1 } = stage;
  const w = new Float64Array(dims);
  const noisy = new Float64Array(dims);
  const signs = new Int8Array(lifted);
  let projection = start;
  let error = 0;
  const counted = Math.ceil(stage.rounds / 4);
  for (let round = 0; round < stage.rounds; round++) {
    for (const sums of [products, gram])
      for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) * stage.keep;
    const search = signSearch(projection, stage.beam);
    const deviation = noise * 2 ** (-lifted / dims) * Math.max(0, 1 - (1.5 * round) / stage.rounds);
    for (let n = 0; n < stage.vectors; n++) {
      for (let i = 0; i < dims; i++) {
        w[i] = gaussian();
        noisy[i] = (w[i] as number) + (deviation > 0 ? deviation * gaussian() : 0);
      }
      const distance = search.nearest(noisy, 0, signs);
      if (round >= stage.rounds - counted) error += distance;
      addOuter(products, w, signs);
      addOuter(gram, signs, signs);
    }
    const best = solve(products, gram, dims, lifted);
    const by = round >= stage.rounds - counted ? 1 : step;
    const { matrix } = projection;
    projection = { dims, lifted, matrix: best.map((m, i) => m + (1 - by) * ((matrix[i] as number) - m)) };
  }
  return { projection, error: error / (counted * stage.vectors * dims) };
}

/** sums[i][j] += a[i] b[j] */
function addOuter(sums: Float64Array, a: Float64Array | Int8Array, b: Int8Array): void {
  const n = b.length;
  for (let i = 0; i < a.length; i++) {
    const factor = a[i] as number;
    for (let j = 0; j < n; j++) sums[i * n + j] = (sums[i * n + j] as number) + factor * (b[j] as number);
  }
}

/** products · gram^-1 [dims, n] */
function solve(products: Float64Array, gram: Float64Array, dims: number, n: number): Float64Array {
  const factor = cholesky(gram, n, 1e-9 * (gram[0] as number));
  const at = (i: number, j: number): number => factor[i * n + j] as number;
  const matrix = products.slice();
  for (let row = 0; row < dims; row++) {
    const line = matrix.subarray(row * n, (row + 1) * n);
    for (let i = 0; i < n; i++) {
      let sum = line[i] as number;
      for (let k = 0; k < i; k++) sum -= at(k, i) * (line[k] as number);
      line[i] = sum / at(i, i);
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = line[i] as number;
      for (let k = i + 1; k < n; k++) sum -= at(i, k) * (line[k] as number);
      line[i] = sum / at(i, i);
    }
  }
  return matrix;
}

function learn(name: string): Projection {
  const start = STARTS[name];
  const { projection } = start
    ? improve(decodeStart(name, start), LONG_FINISH, random(name, 0).gaussian)
    : improve(bestStart(name), FINISH, random(name, 0).gaussian);
  return { ...projection, matrix: projection.matrix.map((m) => Math.round(m / UNIT) * UNIT) };
}

function decodeStart(name: string, start: string): Projection {
  return {
    ...shapeOf(name),
    matrix: Float64Array.from(new Int8Array(Buffer.from(start, "base64")), (m) => m * START_UNIT),
  };
}

function bestStart(name: string): Projection {
  const { dims, lifted } = shapeOf(name);
  let best: ReturnType<typeof improve> | undefined;
  for (let seed = 1; seed <= restarts({ lifted, dims }); seed++) {
    const { gaussian } = random(`projection ${name}`, seed);
    // Rows of norm 1.05: the signs of a good one have a little more power than the weights.
    const matrix = Float64Array.from({ length: dims * lifted }, () => (1.05 / Math.sqrt(lifted)) * gaussian());
    const found = improve({ dims, lifted, matrix }, isFine({ lifted, dims }) ? FINE_SEARCH : SEARCH, gaussian);
    if (!best || found.error < best.error) best = found;
  }
  return (best as { projection: Projection }).projection;
}

/** The mean error per weight of fresh Gaussians. */
function measure(name: string, projection: Projection): number {
  const { dims, lifted } = projection;
  const { gaussian } = random(`measure ${name}`, 0);
  const search = signSearch(projection);
  const w = new Float64Array(dims);
  const signs = new Int8Array(lifted);
  let error = 0;
  const vectors = measuredVectors(name);
  for (let n = 0; n < vectors; n++) {
    for (let i = 0; i < dims; i++) w[i] = gaussian();
    error += search.nearest(w, 0, signs);
  }
  return error / (vectors * dims);
}

function encode({ matrix }: Projection): string {
  return Buffer.from(Int16Array.from(matrix, (m) => m / UNIT).buffer).toString("base64");
}

const args = process.argv.slice(2);
const measureOnly = args.includes("--measure");
const chosen = args.filter((arg) => arg !== "--measure");
const entries: Record<string, { mse: number; data: string }> = { ...projectionData };
for (const name of chosen.length > 0 ? chosen : NAMES) {
  const start = performance.now();
  const projection = measureOnly ? shippedProjection(name as ProjectionName) : learn(name);
  const mse = measure(name, projection);
  const { lifted, dims } = projection;
  console.log(
    `${name.padEnd(7)} ${(lifted / dims).toFixed(3)} bits  mse ${mse.toFixed(5)}  ${Math.round((performance.now() - start) / 1000)} s`,
  );
  if (!measureOnly) {
    entries[name] = { mse: Number(mse.toPrecision(4)), data: encode(projection) };
    write();
  }
}

function write(): void {
  const lines = NAMES.filter((name) => entries[name]).map((name) => {
    const { mse, data } = entries[name] as { mse: number; data: string };
    return `  "${name}": { mse: ${mse}, data: "${data}" },`;
  });
  const file = new URL("../src/formats/lift/projection-data.ts", import.meta.url);
  writeFileSync(
    file,
    `// Written by scripts/learn-projections.ts. mse: mean square error a weight of unit Gaussians; data: int16 [dims, lifted],
// little endian, multiples of 2^-14, in base64.
// biome-ignore format: a line a projection
export const projectionData = {
${lines.join("\n")}
} as const;
`,
  );
}

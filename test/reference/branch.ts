const f32 = Math.fround;

/** Columns that b x sums in one run. */
const blockCols = 512;

export interface ReferenceBranches {
  /** [rows] */
  bias?: Float32Array;
  /** a [rows, rank], b [rank, cols] */
  lowRank?: { a: Float32Array; b: Float32Array };
  /** CSR: row pointers [rows + 1], columns, values. */
  sparse?: { rows: Uint32Array; cols: Uint32Array; values: Float32Array };
}

/** x[k] · c[k] */
export function scaleColumns(x: Float32Array, colScale: Float32Array): Float32Array {
  return x.map((value, k) => value * (colScale[k] as number));
}

/** b x: eight partial sums over the columns k mod 8 of each block of 512, joined pairwise; blocks in order. */
export function lowRankInput(b: Float32Array, x: Float32Array, rank: number): Float32Array {
  const cols = x.length;
  const t = new Float32Array(rank);
  for (let j = 0; j < rank; j++) {
    let total = 0;
    for (let start = 0; start < cols; start += blockCols) {
      const s = new Float32Array(8);
      for (let k = start; k < Math.min(start + blockCols, cols); k++) {
        s[k % 8] = (s[k % 8] as number) + f32((b[j * cols + k] as number) * (x[k] as number));
      }
      const half = [0, 1, 2, 3].map((i) => f32((s[i] as number) + (s[i + 4] as number)));
      const [h0, h1, h2, h3] = half as [number, number, number, number];
      total = f32(total + f32(f32(h0 + h1) + f32(h2 + h3)));
    }
    t[j] = total;
  }
  return t;
}

/** ((y + bias) + a (b x)) + sparse x, each of the three where it is there, the last two summed on their own from 0. */
export function addBranches(y: Float32Array, branches: ReferenceBranches, x: Float32Array): Float32Array {
  const { bias, lowRank, sparse } = branches;
  const rows = y.length;
  const rank = lowRank ? lowRank.a.length / rows : 0;
  const t = lowRank ? lowRankInput(lowRank.b, x, rank) : new Float32Array(0);
  return y.map((dense, r) => {
    let result = dense;
    if (bias) result = f32(result + (bias[r] as number));
    if (lowRank) {
      let sum = 0;
      for (let j = 0; j < rank; j++) sum = f32(sum + f32((lowRank.a[r * rank + j] as number) * (t[j] as number)));
      result = f32(result + sum);
    }
    if (sparse && sparse.rows[r] !== sparse.rows[r + 1]) {
      let sum = 0;
      for (let i = sparse.rows[r] as number; i < (sparse.rows[r + 1] as number); i++) {
        sum = f32(sum + f32((sparse.values[i] as number) * (x[sparse.cols[i] as number] as number)));
      }
      result = f32(result + sum);
    }
    return result;
  });
}

import { parseArgs } from "node:util";

export interface Options {
  readonly filter: RegExp;
  readonly quick: boolean;
  readonly json: string | undefined;
  readonly threads: readonly number[];
  readonly native: string | undefined;
  readonly help: boolean;
}

export const help = `npm run bench -- [flags]

Times every kernel of the registry, in both WebAssembly variants, on the layer shapes of bench/shapes, for 1, 4, 32 and
128 tokens, beside scalar baselines and the read bandwidth of WebAssembly. bench/README.md explains every column.

  --filter REGEX   only cases whose label matches, e.g. "uniform4 g128 int8 relaxed 4096x4096 n=1 ";
                   the baselines of their shapes always run
  --quick          a part, about 2 minutes for one family of formats: only the kernels that the library itself chooses,
                   on the shapes that have a "quick" entry, with its tokens, activations and formats (4096x4096 with
                   1 token, and with 32 without f32; binary and ternary also on 1024x2048 and 32768x8192). A group
                   has 5 to 31 rounds within 12 s instead of 5 to 41 within 20 s, and a measurement takes 1 ms instead
                   of 2
  --json FILE      also write the result as JSON
  --threads LIST   thread counts, separated by commas (default 1)
  --native FILE    an executable that prints name=number pairs in Gw/s when called as FILE ROWS COLS; it runs between
                   the rounds, and a column compares every row with its first number
  --help           this text

Exit code 1: a kernel gave a wrong answer (it is reported and not timed) or could not run.
Exit code 2: wrong flags, or no case matches --filter.
`;

/** Throws an Error with a sentence for the user when the flags are wrong. */
export function parse(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      filter: { type: "string", default: "" },
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      threads: { type: "string", default: "1" },
      native: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  return {
    ...values,
    filter: new RegExp(values.filter),
    json: values.json,
    threads: threadCounts(values.threads),
    native: values.native,
  };
}

function threadCounts(list: string): number[] {
  const counts = list.split(",").map(Number);
  if (counts.some((count) => !Number.isInteger(count) || count < 1)) {
    throw new Error(`--threads: expected positive integers separated by commas, got "${list}"`);
  }
  return [...new Set(counts)];
}

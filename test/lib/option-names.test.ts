// Every exported function of every entry point refuses an option that it does not know, before it looks at anything else,
// and docs/formats.md lists those that it does. A new function is found here by itself.
import { readFileSync } from "node:fs";
import * as conv from "../../src/conv/index.ts";
import * as index from "../../src/index.ts";
import * as lattice from "../../src/lattice.ts";
import * as complex from "../../src/llm/complex/index.ts";
import * as transforms from "../../src/transforms/index.ts";
import { is, ok } from "./assert.ts";
import { suite } from "./suite.ts";

type Anything = (...args: unknown[]) => unknown;

/** Functions that take no options: numbers, arrays and pairs of them alone. */
const WITHOUT = new Set([
  "OutOfMemoryError",
  "UnsupportedRuntimeError",
  "pvq.unpack",
  "babai",
  "hessianOf",
  "nearestD",
  "nearestE8",
  "nearestPyramid",
  "nearestZ",
  "pyramidIndex",
  "pyramidSize",
  "pyramidVector",
  "hadamardMatrix",
  "hadamardOrder",
  "invertPair",
  "kronecker",
  "kroneckerInverse",
  "randomSigns",
  "scale",
  "gate",
  "rmsNorm",
]);

/** Every function by the name that its messages begin with. */
const functions = new Map<string, Anything>();
function collect(exports: object, prefix = ""): void {
  for (const [name, value] of Object.entries(exports)) {
    if (typeof value === "function") functions.set(prefix + name, value as Anything);
    else if (prefix === "" && Object.prototype.toString.call(value) === "[object Module]") collect(value, `${name}.`);
  }
}
for (const exports of [index, lattice, transforms, complex]) collect(exports);
collect(conv, "conv.");

/** What a call says to an option object in each place, all other arguments missing. */
async function messages(call: Anything, options: object): Promise<string[]> {
  const said: string[] = [];
  for (let place = 0; place < 5; place++) {
    try {
      await call(...Array.from({ length: place }, () => undefined), options);
      said.push("nothing");
    } catch (error) {
      said.push(error instanceof TypeError ? error.message : `not a TypeError: ${error}`);
    }
  }
  return said;
}

/** "rows, groupSize (group_size)" of a function, or undefined if it takes an unknown option. */
async function namesOf(call: Anything): Promise<string | undefined> {
  for (const message of await messages(call, { "": 1 })) {
    const found = /expected one of (.*), got unknown option ""$/.exec(message);
    if (found) return found[1];
  }
  return undefined;
}

const t = suite("names of options");
const listed = new Map<string, string>();

t("every function has a list of them", async () => {
  ok(functions.size > 60);
  for (const [name, call] of functions) {
    if (WITHOUT.has(name)) continue;
    const names = await namesOf(call);
    ok(names !== undefined, `${name} accepts an option that it does not know`);
    listed.set(name, names as string);
  }
});

/** A slip of the fingers: the third letter twice. */
const slip = (name: string): string => name.slice(0, 3) + name.slice(2);

t("a misspelt one is refused with the one that was meant", async () => {
  for (const [name, list] of listed) {
    const known = list.split(/[ ,()]+/).filter((one) => one !== "");
    for (const option of known) {
      if (option.length < 4) continue;
      // groupSize and group_size are the same but for their case.
      const plain = (one: string): string => one.replaceAll(/[^a-zA-Z0-9]/g, "").toLowerCase();
      const wanted = `(did you mean "${option}"?), got unknown option "${slip(option)}"`;
      const said = await messages(functions.get(name) as Anything, { [slip(option)]: undefined });
      ok(
        said.some((message) => plain(message).endsWith(plain(wanted))),
        `${name}: ${slip(option)}: expected ${wanted}, got ${said.join("; ")}`,
      );
    }
  }
});

t("docs/formats.md lists them", () => {
  const page = readFileSync(new URL("../../docs/formats.md", import.meta.url), "utf8");
  const rows = new Map(
    [...page.matchAll(/^\| `([\w/.]+)`(?:, `(\w+)`)? *\| ([^|]+?) *\|$/gm)]
      .filter((row) => listed.has(row[1] as string))
      .flatMap((row) => {
        const name = row[1] as string;
        const both = row[2] === undefined ? [name] : [name, `${name.slice(0, name.lastIndexOf(".") + 1)}${row[2]}`];
        return both.map((one) => [one, row[3] as string] as const);
      }),
  );
  for (const [name, list] of listed) is(rows.get(name), list, `docs/formats.md: row of ${name}: | ${list} |`);
});

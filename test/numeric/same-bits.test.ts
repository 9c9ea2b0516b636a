// The same bits everywhere: src/ and assembly/ call nothing of Math that engines may compute differently. What ECMAScript
// says exactly, or IEEE 754 rounds correctly, is listed here; the rest is src/numeric/elementary.ts.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { equal, ok } from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

const t = suite("the same bits");
const root = new URL("../../", import.meta.url).pathname;

/** Exact or correctly rounded by the specification; constants are "the Number value for" what they are named for. */
const EXACT = new Set([
  ...["abs", "ceil", "clz32", "floor", "fround", "imul", "max", "min", "round", "sign", "sqrt", "trunc"],
  ...["E", "LN10", "LN2", "LOG10E", "LOG2E", "PI", "SQRT1_2", "SQRT2"],
]);

/** Chance, which decides no result: names of temporary files, and how long to wait before a request is sent again. */
const BY_CHANCE = new Set([
  ...["src/files/cache.ts", "src/files/remote.ts", "src/files/target.ts", "src/llm/quantize-file.ts"],
]);

/** The code without comments and strings; what a template inserts is code. */
function codeOf(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g, " ");
}

/** What a line of code does that may give other bits elsewhere. */
function faults(code: string): string[] {
  const found: string[] = [];
  for (const [, member] of code.matchAll(/\bMathf?\b(?:\s*\.\s*(\w+))?/g)) {
    if (member === undefined) found.push("Math by another name");
    else if (!EXACT.has(member)) found.push(`Math.${member}`);
  }
  // 2 ** n for whole n is exact in every engine: test/runtimes/conformance.ts asks each. Other powers are products (x ** 4 is
  // not even (x x)(x x): V8 rounds it once, another engine may round it twice) or pow of ours.
  for (const match of code.matchAll(/(\S+)\s*\*\*(=?)\s*(-?\(?[^\n]{0,40})/g)) {
    const [whole, base, assigns, exponent] = match as unknown as [string, string, string, string];
    const inner = exponent.startsWith("(")
      ? exponent.slice(0, exponent.indexOf(")"))
      : (/^-?[\w.]+/.exec(exponent)?.[0] ?? "");
    if (assigns || !/(^|[^\w.)\]])2$/.test(base) || /\/|\.\d|\d\./.test(inner)) found.push(whole.trim());
  }
  return found;
}

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${folder}/${name}`);
}

t("what is looked for is found", () => {
  equal(faults("y = Math.exp(x)"), ["Math.exp"]);
  equal(faults("const { exp } = Math;"), ["Math by another name"]);
  equal(faults("Math[name](x)"), ["Math by another name"]);
  for (const code of [
    "x ** 2",
    "(a + b) ** 2",
    "base ** -j",
    "2 ** (j / n)",
    "2 ** 0.5",
    "12 ** n",
    "x **= 2",
    "a[2] ** 3",
  ]) {
    ok(faults(code).length === 1, code);
  }
  equal(faults("2 ** (bits - 1) + 2 ** -24 * Math.floor(x / 2 ** 32)"), []);
  equal(faults(codeOf("// Math.exp\n/* x ** 2 */ '**' + \"Math.log\"")), []);
});

t("no result of src/ or assembly/ depends on an engine's elementary functions", () => {
  const all = [...filesOf("src"), ...filesOf("assembly")];
  ok(all.length > 100, "files are found");
  const found = all.flatMap((file) =>
    faults(codeOf(readFileSync(join(root, file), "utf8")))
      .filter((what) => what !== "Math.random" || !BY_CHANCE.has(file))
      .map((what) => `${file}: ${what}`),
  );
  equal(found, []);
});

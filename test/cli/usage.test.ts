// What the command line says when it is not understood, and of itself.
import { readFileSync } from "node:fs";
import { equal, is, match, ok } from "../lib/assert.ts";
import { lowbit, MODEL } from "../lib/command-line.ts";
import { suite } from "../lib/suite.ts";

const t = suite("command line");

const sources = new URL("../../cli/commands/", import.meta.url);
const names = [...readFileSync(new URL("index.ts", sources), "utf8").matchAll(/import\("\.\/(\w+)\.ts"\)/g)].map(
  ([, name]) => name as string,
);

t("help and version", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", sources), "utf8")) as { version: string };
  equal(await lowbit(["--version"]), { status: 0, signal: undefined, stdout: `${version}\n`, stderr: "" });
  const all = await lowbit(["--help"]);
  is(all.status, 0);
  ok(names.length >= 7 && names.every((name) => all.stdout.includes(`\n  ${name} `)), all.stdout);
  equal(await lowbit(["help"]), all);
  const none = await lowbit([]);
  equal([none.status, none.stdout, none.stderr], [2, "", all.stdout]);
});

for (const name of names) {
  t(`help of ${name}`, async () => {
    const page = await lowbit([name, "--help"]);
    equal([page.status, page.stderr], [0, ""]);
    match(page.stdout, new RegExp(`^lowbit ${name}\\b.*\\n\\n[^]+\\n\\n[^]*--help  +this page\\n$`));
    ok(
      page.stdout.split("\n").every((line) => line.length <= 130),
      page.stdout,
    );
    equal(await lowbit(["help", name]), page);
  });
}

const refused: readonly (readonly [args: readonly string[], text: string])[] = [
  [["runn"], 'there is no command "runn" (did you mean run?)'],
  [["transmogrify"], 'there is no command "transmogrify" (lowbit --help lists them)'],
  [["run", MODEL, "--temprature", "1"], "run: there is no option --temprature (did you mean --temperature?)"],
  [["run", MODEL, "--zzz"], "run: there is no option --zzz (lowbit run --help lists them)"],
  [["run", MODEL, "-x"], "run: there is no option -x (lowbit run --help lists them)"],
  [["run"], "run: expected SRC: a path, an address, hf:owner/repo/file, or a folder"],
  [["run", "a.gguf", "To", "be"], "run: expected one SRC, got 3 arguments (texts with spaces need quotes)"],
  [["run", MODEL, "-p", "a", "-f", "b"], "run: expected -p or -f, got both"],
  [["run", MODEL, "-p"], "run: Option '-p, --prompt <value>' argument missing"],
  [["run", MODEL, "--chat", "--json"], "run: --json: expected a prompt, got a conversation"],
  [["run", MODEL, "-p", "a", "-n", "many"], 'run: --length: expected a whole number from 0 to 2147483648, got "many"'],
  [["run", MODEL, "-p", "a", "-n", "1.5"], 'run: --length: expected a whole number from 0 to 2147483648, got "1.5"'],
  [["run", MODEL, "-p", "a", "--top-p", "2"], 'run: --top-p: expected a number from 0 to 1, got "2"'],
  [["run", MODEL, "-p", "a", "--threads", "0"], 'run: --threads: expected a number from 1 to 256, or auto, got "0"'],
  [["run", MODEL, "-p", "a", "--variant", "avx"], 'run: --variant: expected one of auto, relaxed, simd, got "avx"'],
  [["inspect"], "inspect: expected SRC: a path, an address, hf:owner/repo/file, or a folder"],
  [["eval", MODEL], "eval: expected TEXT, or --verify FILE"],
  [["eval", MODEL, "a.txt", "--verify", "b"], "eval: expected TEXT or --verify, got both (a.txt)"],
  [["serve", MODEL, "--port", "99999"], 'serve: --port: expected a whole number from 0 to 65535, got "99999"'],
  [["cache"], "cache: expected ls or rm, got neither"],
  [["cache", "rm"], "cache: rm: expected ADDRESS, as ls has it, or --all"],
  [["info", "all"], 'info: expected no argument, got "all"'],
];

for (const [args, text] of refused) {
  t(`wrong usage: ${args.join(" ")}`, async () => {
    equal(await lowbit(args), { status: 2, signal: undefined, stdout: "", stderr: `lowbit: ${text}\n` });
  });
}

t("a failure is one sentence, and a stack where it is asked for", async () => {
  const { status, stdout, stderr } = await lowbit(["inspect", "nowhere.gguf"]);
  equal([status, stdout, stderr], [1, "", "lowbit: nowhere.gguf: there is no such file\n"]);
  const debug = await lowbit(["inspect", "nowhere.gguf"], { env: { LOWBIT_DEBUG: "1" } });
  is(debug.status, 1);
  match(debug.stderr, /^lowbit: nowhere.gguf: there is no such file\n(.|\n)+\n +at /);
});

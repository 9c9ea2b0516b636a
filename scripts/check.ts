// npm run check: types, lint and format, package exports, examples in the documentation.
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const failures: string[] = [];

function step(name: string, command: string, args: string[], cwd = root): void {
  console.log(`\n${name}: ${command} ${args.join(" ")}`);
  // Our own binaries first, so that nothing is looked up on a network.
  const path = `${join(root, "node_modules", ".bin")}:${process.env.PATH}`;
  const { status } = spawnSync(command, args, { cwd, stdio: "inherit", env: { ...process.env, PATH: path } });
  if (status !== 0) failures.push(name);
}

/** What examples call `model.gguf`. */
const MODEL = join(root, "test/llm/fixtures/gguf/tiny-llama-bf16.gguf");

/** What they call `./checkpoint`: a trained model and its tokenizer, of the reference material beside the checkout. */
const CHECKPOINT = [
  "llama/config.json",
  "llama/model.safetensors",
  "tok/bpe/tokenizer.json",
  "tok/bpe/tokenizer_config.json",
].map((name) => join(root, "..", "shared", "hf-zoo", name));

/** The ```ts blocks of a page, each a program that must compile and run, in a folder with a model. */
function examples(page: string): string[] {
  return [...readFileSync(join(root, page), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].map(
    (match) => match[1] as string,
  );
}

step("build", "tsx", ["scripts/build.ts"]);

mkdirSync(join(root, "build"), { recursive: true });
const folder = mkdtempSync(join(root, "build", "check-"));
try {
  const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => join("docs", name))];
  const programs = pages.flatMap((page) =>
    examples(page).map((code, index) => {
      const file = join(folder, `${page.replace(/\W/g, "-")}-${index + 1}.ts`);
      writeFileSync(file, code);
      return { name: `${page} example ${index + 1}`, file };
    }),
  );
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: "../../tsconfig.json", include: ["."] }));
  step("types", "tsc", ["-p", "tsconfig.json"]);
  step("types of the command line", "tsc", ["-p", "cli"]);
  step("types of examples", "tsc", ["-p", join(folder, "tsconfig.json")]);
  copyFileSync(MODEL, join(folder, "model.gguf"));
  const whole = CHECKPOINT.every((file) => existsSync(file));
  mkdirSync(join(folder, "checkpoint"));
  if (whole) for (const file of CHECKPOINT) copyFileSync(file, join(folder, "checkpoint", basename(file)));
  for (const { name, file } of programs) {
    if (whole || !readFileSync(file, "utf8").includes("./checkpoint")) step(name, "tsx", [file], folder);
    else console.log(`\n${name}: skipped: ${CHECKPOINT[0]} is absent`);
  }
  step("lint and format", "biome", ["ci", "."]);
  step("exports", "publint", ["--strict"]);
  const { stdout } = spawnSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], {
    cwd: root,
    encoding: "utf8",
  });
  const tarball = join(folder, (JSON.parse(stdout) as { filename: string }[])[0]?.filename ?? "");
  step("types as a consumer sees them", "attw", [
    tarball,
    "--profile",
    "esm-only",
    "--entrypoints",
    ".",
    "./complex",
    "./conv",
    "./files",
    "./lattice",
    "./llm",
    "./transforms",
  ]);
} finally {
  rmSync(folder, { recursive: true });
}

console.log(failures.length === 0 ? "\nall checks passed" : `\nfailed: ${failures.join(", ")}`);
process.exitCode = failures.length === 0 ? 0 : 1;

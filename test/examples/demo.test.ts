// The example program, as a user runs it, and its reader of model files.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { init } from "lowbit";
import { formatFor, readOptions } from "../../examples/shakespeare/options.ts";
import { getTensor } from "../../examples/shakespeare/safetensors.ts";
import { joinShards, referencePath, shardPaths } from "../../examples/shakespeare/shards.ts";
import { type Config, loadWeights, readConfig } from "../../examples/shakespeare/weights.ts";
import { parseSafetensors, type Safetensors } from "../../src/files/index.ts";
import * as assert from "../lib/assert.ts";
import { suite } from "../lib/suite.ts";

const t = suite("demo");
const example = fileURLToPath(new URL("../../examples/shakespeare/", import.meta.url));
const main = join(example, "main.ts");

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ["--import", "tsx", main, ...args], { encoding: "utf8", cwd: example });
}

// Losses of the float64 forward that made the reference logits.
for (const [model, loss] of [
  ["ternary", 1.0156],
  ["binary", 0.9876],
  ["fairy1", 1.0193],
  ["fairy2", 1.0607],
] as const) {
  t(`--verify: ${model} agrees with its reference logits`, () => {
    const { status, stdout } = run("--model", model, "--verify");
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)`, "m").exec(stdout)?.[1]);
    assert.ok(value("nmse") <= 1e-4, stdout);
    assert.ok(Math.abs(value("loss") - loss) <= 0.002, stdout);
    assert.is(value("decode difference"), 0);
    assert.is(status, 0);
  });
}

// One format of each kind of kernel, within the limits of README.md; the reference is of the bfloat16 weights.
for (const [format, difference, bits, nmse] of [
  ["uniform4", 0.02, 4.5, 5e-3],
  ["bcq3", 0.04, 3.75, 5e-3],
  ["mxfp4", 0.02, 5, 5e-3],
  ["e8p3", 0.015, 3.275, 5e-3],
  ["pvq", 0.06, 2.204, 1e-2],
  ["fairy2i", 0.05, 2.065, 2e-2],
] as const) {
  t(`--verify: fp as ${format} keeps the loss of its reference`, () => {
    const { status, stdout, stderr } = run("--model", "fp", "--format", format, "--verify");
    const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)`, "m").exec(stdout)?.[1]);
    assert.ok(Math.abs(value("loss") - 0.9772) <= difference, stdout);
    assert.ok(Math.abs(value("loss difference") - (value("loss") - value("reference loss"))) < 2e-6, stdout);
    assert.ok(value("nmse") < nmse, stdout);
    assert.ok(Math.abs(value("bits per weight") - bits) < 0.01, stdout);
    assert.is(value("decode difference"), 0);
    assert.is(status, 0, stderr);
  });
}

t("--verify fails where the loss is too far from the reference's", () => {
  // Groups of whole rows and 2 bits by the range alone: far from the reference.
  const { status, stderr } = run(
    ...["--model", "fp", "--format", "uniform2", "--group", "1024", "--search", "minmax", "--verify"],
  );
  assert.is(status, 1);
  assert.match(stderr, /failed: the loss is more than 0\.08 from the reference's/);
});

t("--verify needs a model and its reference", () => {
  const none = run("--model", main, "--verify");
  assert.is(none.status, 1);
  assert.match(none.stderr, /not a safetensors file/);
});

t("the same seed gives the same text, another one another", () => {
  const text = (seed: string): string => run("--tokens", "40", "--seed", seed, "--prompt", "KING:").stdout;
  const first = text("1");
  assert.ok(first.startsWith("KING:") && first.length > 40, first);
  assert.is(text("1"), first);
  assert.is.not(text("2"), first);
});

t("figures at the end, on standard error", () => {
  const { stderr } = run("--tokens", "8", "--model", "binary");
  for (const word of ["seed", "memory", "decode", "tokens/s", "variant"]) assert.ok(stderr.includes(word), stderr);
});

t("mistakes are one line: exit 2 for the command line, 1 for files", () => {
  const cases: [string[], number, RegExp][] = [
    [["--tokens", "-1"], 2, /tokens/],
    [["--tokens", "many"], 2, /tokens/],
    [["--temperature", "-1"], 2, /temperature/],
    [["--seed", "x"], 2, /seed/],
    [["--threads", "0"], 2, /threads/],
    [["--variant", "avx"], 2, /variant/],
    [["--activation", "int4"], 2, /activation/],
    [["--frobnicate"], 2, /frobnicate/],
    [["--model", "fp"], 2, /--format: expected .*uniform4.*bcq3.*nf4.*mxfp4.*codebook3/],
    [["--model", join(tmpdir(), "there-is-no-such-00002-of-00003.safetensors")], 1, /cannot read shard 1 of 3/],
    [["--model", join(tmpdir(), "there-is-no-such.safetensors")], 1, /cannot read/],
  ];
  for (const [args, status, message] of cases) {
    const result = run(...args);
    assert.is(result.status, status, args.join(" "));
    assert.match(result.stderr, message);
    assert.is(result.stderr.trim().split("\n").length, 1, result.stderr);
  }
});

t("--format, --group and --search must go with the model and each other", () => {
  const config = readConfig(parseSafetensors(bytes));
  const format = (kind: Config["format"], ...args: string[]) =>
    formatFor({ ...config, format: kind }, readOptions(args));
  for (const [kind, args, message] of [
    ["fp", "--format int4", /--format: expected .*uniform4.*got "int4"/],
    ["binary", "--format uniform4", /--format: expected --model fp.*binary/],
    ["ternary", "--group 64", /--group: expected --model fp.*ternary/],
    ["fp", "--format uniform4 --group 33", /--group: expected a multiple of 32/],
    ["fp", "--format uniform4 --group 0", /--group: expected a multiple of 32/],
    ["fp", "--format mxfp4 --group 32", /--group: expected none with mxfp4/],
    ["fp", "--format lift2.4 --group 64", /--group: expected none with lift2\.4/],
    ["fp", "--format e8p --activation lut8", /--activation: expected int8 or f32 with e8p/],
    ["fp", "--format nf4 --search mse", /--search: expected a uniform format/],
    ["fp", "--format uniform4 --search mad", /--search: expected minmax, mse/],
    ["fp", "--format uniform4 --activation lut8", /--activation: expected int8 or f32/],
  ] as const) {
    assert.throws(() => format(kind, ...args.split(" ")), message);
  }
  assert.is(format("binary"), undefined);
  assert.is(format("fp", "--format", "nf4", "--group", "128")?.maxLossDifference, 0.02);
});

const bytes = new Uint8Array(readFileSync(join(example, "models", "binary.safetensors")));
const headerLength = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));

t("a Fairy2i model of another number of stages than its config says is refused", async () => {
  const lb = await init();
  const { used } = lb.memory;
  for (const [model, claimed, message] of [
    ["fairy2", "fairy1", /\.weight\.[UW]1(_scale)?: unexpected tensor/],
    ["fairy1", "fairy2", /\.weight\.U1(_scale)?: /],
  ] as const) {
    const file = parseSafetensors(new Uint8Array(readFileSync(join(example, "models", `${model}.safetensors`))));
    const config: Config = { ...readConfig(file), format: claimed };
    assert.throws(
      () => loadWeights(lb, file, config, { activation: "int8" }),
      (error: Error) => error.name === "FileError" && message.test(error.message),
      model,
    );
    assert.is(lb.memory.used, used, model);
  }
});

t("safetensors: a truncated file is refused wherever it ends", () => {
  for (const end of [
    0,
    1,
    7,
    8,
    9,
    100,
    8 + headerLength - 1,
    8 + headerLength,
    8 + headerLength + 1,
    bytes.length - 1,
  ]) {
    assert.throws(
      () => parseSafetensors(bytes.subarray(0, end), "cut"),
      (error: Error) => error.name === "FileError" && error.message.startsWith("cut: "),
      `${end}`,
    );
  }
  assert.throws(() => parseSafetensors(new Uint8Array([...bytes, 0]), "long"), /expected \d+ bytes of data/);
  assert.is(parseSafetensors(bytes).tensors.size > 50, true);
});

/** The file with its header edited. */
function edited(edit: (header: Record<string, { dtype: string; shape: number[]; data_offsets: number[] }>) => void) {
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  edit(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(8 + text.length + bytes.length - 8 - headerLength);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(bytes.subarray(8 + headerLength), 8 + text.length);
  return out;
}

t("shards: any of them names all, and the reference", () => {
  const all = ["a/x-00001-of-00003.safetensors", "a/x-00002-of-00003.safetensors", "a/x-00003-of-00003.safetensors"];
  for (const path of all) {
    assert.equal(shardPaths(path), all);
    assert.is(referencePath(path), "a/x.reference.safetensors");
  }
  assert.equal(shardPaths("a/x.safetensors"), ["a/x.safetensors"]);
  assert.is(referencePath("a/x.safetensors"), "a/x.reference.safetensors");
  assert.throws(() => shardPaths("x-00004-of-00003.safetensors"), /expected a shard from 1 to 3, got 4/);
});

t("shards: a tensor in two of them or two configs are refused", () => {
  const shard = (name: string, tensor: string, config: string): Safetensors => ({
    name,
    metadata: new Map(config === "" ? [] : [["config", config]]),
    tensors: new Map([[tensor, { name: tensor, dtype: "U8", shape: [1], data: new Uint8Array(1) }]]),
  });
  const joined = joinShards([shard("1", "a", ""), shard("2", "b", "{}"), shard("3", "c", "{}")]);
  assert.equal([...joined.tensors.keys()], ["a", "b", "c"]);
  assert.is(joined.metadata.get("config"), "{}");
  assert.throws(() => joinShards([shard("1", "a", ""), shard("2", "a", "")]), /^2: a: .* 1 has/);
  assert.throws(() => joinShards([shard("1", "a", "{}"), shard("2", "b", "[]")]), /^2: __metadata__\.config/);
});

t("safetensors: a corrupt header is refused, naming the tensor and what was expected", () => {
  const name = "model.layers.0.mlp.down_proj.weight_scale";
  const cases: [string, Partial<{ dtype: string; shape: number[]; data_offsets: number[] }>, RegExp][] = [
    ["shape", { shape: [383] }, /data_offsets: expected 1532 bytes/],
    ["negative", { shape: [-384] }, /shape: expected/],
    ["dtype", { dtype: "F64" }, /data_offsets: expected 3072 bytes \(F64 \[384\]\), got 1536/],
    ["overlap", { data_offsets: [4, 1540] }, /hole|overlap/],
    ["outside", { data_offsets: [1e12, 1e12 + 1536] }, /hole|overlap|truncated/],
    ["backwards", { data_offsets: [1536, 0] }, /data_offsets: expected \[begin, end\]/],
    ["fraction", { data_offsets: [0.5, 1536.5] }, /data_offsets/],
  ];
  for (const [what, edit, message] of cases) {
    const file = edited((header) => Object.assign(header[name] as object, edit));
    assert.throws(() => parseSafetensors(file, "bad"), message, what);
  }
  // A type that is not known is the matter of whoever wants that tensor.
  const file = parseSafetensors(
    edited((header) => Object.assign(header[name] as object, { dtype: "F31" })),
    "bad",
  );
  assert.throws(() => getTensor(file, name, ["F32", "BF16"], [384]), /dtype: expected F32 or BF16, got F31/);
});

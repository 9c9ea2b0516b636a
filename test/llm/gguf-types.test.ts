// GGUF files of every type of weights against the logits of their dequantised weights, where those files are.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { parseSafetensors } from "../../src/files/index.ts";
import { load } from "../../src/llm/index.ts";
import { nmseBelow, ok } from "../lib/assert.ts";
import { availableVariants } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";

const t = suite("gguf types");
const { instances } = await availableVariants();
const [{ lb }] = instances as unknown as [(typeof instances)[number]];

const shared = new URL("../../../shared/gguf/", import.meta.url);

for (const folder of ["gguf-zoo/", "gguf-archs/"]) {
  const root = new URL(folder, shared);
  if (!existsSync(root)) {
    t.skip(folder, "../shared is not there");
    continue;
  }
  const { tensors } = parseSafetensors(readFileSync(new URL("logits.safetensors", root)), folder);
  const buffer = (name: string): ArrayBuffer => new Uint8Array(tensors.get(name)?.data ?? []).buffer;
  const manifest = JSON.parse(readFileSync(new URL("manifest.json", root), "utf8")) as {
    files: Record<string, { checkpoint?: string }>;
  };
  const positions = [...new Int32Array(buffer("positions"))];
  for (const file of readdirSync(root)) {
    const name = file.replace(".gguf", "");
    const key = [`${name}.exact`, name].find((one) => tensors.has(one));
    // The others are of bfloat16, and of gguf.test.ts.
    if (!file.endsWith(".gguf") || key === undefined || name.endsWith("-bf16")) continue;
    t(`${name}: logits of its dequantised weights`, async () => {
      const [model] = name.split("-") as [string];
      const { checkpoint } = manifest.files[file] ?? {};
      const tokens = new Int32Array(buffer(checkpoint ? `tokens.${checkpoint}` : `${model}.tokens`));
      ok(tokens.length > 0, "tokens");
      const expected = new Float32Array(buffer(key));
      const loaded = await load(lb, readFileSync(new URL(file, root)), { activation: "f32" });
      const actual: number[] = [];
      const logits = (values: Float32Array): void => {
        actual.push(...values);
      };
      for (const at of positions) await loaded.generate(tokens.slice(0, at + 1), { maxTokens: 1, logits });
      loaded.dispose();
      // llama.cpp takes the corners of yarn's ramp as whole numbers, which gpt-oss does not.
      nmseBelow(actual, expected, name.includes("gpt-oss") ? 1e-6 : 1e-12, name);
    });
  }
}

// Every quantised checkpoint of ../shared/hf-quant, where it is: weights against expected.safetensors, whole models against its logits.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { checkpoint, memoryTarget, parseSafetensors, writeSafetensors } from "../../src/files/index.ts";
import { uniform } from "../../src/index.ts";
import { load } from "../../src/llm/index.ts";
import { engineOf } from "../../src/runtime/engine.ts";
import { is, nmseBelow, ok, rejectsWith } from "../lib/assert.ts";
import { availableVariants } from "../lib/library.ts";
import { suite } from "../lib/suite.ts";

const t = suite("checkpoints of the hub");
const { instances } = await availableVariants();
const [{ lb }] = instances as unknown as [(typeof instances)[number]];

const root = new URL("../../../shared/hf-quant/", import.meta.url);
const base = new URL("../../../shared/hf-zoo/llama/", import.meta.url);
const there = existsSync(root) && existsSync(base);

type Tensors = ReturnType<typeof parseSafetensors>["tensors"];
type Config = Record<string, unknown>;
const read = (folder: string, file: string): Buffer => readFileSync(new URL(`${folder}/${file}`, root));
const tensorsOf = (bytes: Uint8Array): Tensors => parseSafetensors(bytes, "test").tensors;
const bufferOf = (tensors: Tensors, name: string): ArrayBuffer => new Uint8Array(tensors.get(name)?.data ?? []).buffer;
const used = (): number => lb.memory.used - engineOf("test", lb).scratchBytes;

/** The files of a complete checkpoint; `change` makes other tensors of the folder's own. */
async function filesOf(
  folder: string,
  change: (tensors: Map<string, { dtype: string; shape: readonly number[]; data: Uint8Array }>) => void = () => {},
  settings: (config: Config) => void = () => {},
): Promise<Record<string, Uint8Array>> {
  const own = new Map(
    [...tensorsOf(read(folder, "model.safetensors"))].map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data },
    ]),
  );
  const names = [...own.keys()];
  change(own);
  const all = new Map<string, { dtype: string; shape: readonly number[]; data: Uint8Array }>(own);
  for (const [name, tensor] of tensorsOf(readFileSync(new URL("model.safetensors", base)))) {
    if (!names.some((one) => one.startsWith(name.slice(0, -"weight".length)))) all.set(name, tensor);
  }
  const target = memoryTarget();
  await writeSafetensors(target, { tensors: [...all].map(([name, tensor]) => ({ name, ...tensor })) });
  const config = JSON.parse(read(folder, "config.json").toString()) as Config;
  settings(config);
  return { "config.json": new TextEncoder().encode(JSON.stringify(config)), "model.safetensors": target.bytes() };
}

const MODULES = ["model.layers.0.self_attn.q_proj", "model.layers.5.mlp.down_proj"];
// Tables of 16-bit entries: half a step of 1/32767 of the largest. NVFP4 and others: a scale that is rounded before its product. MXFP4:
// integers have no -0, so that its bits are those of 0.
const NEAR: Readonly<Record<string, number>> = {
  "bnb-nf4-double": 1.6e-5,
  "bnb-fp4-double": 1.6e-5,
  "bnb-int8": 1e-6,
  "bitnet-online": 1e-6,
  "ct-nvfp4": 1.2e-7,
  "ct-mxfp4": 0,
};
const OTHERS = ["aqlm-2x8-g8", "gptoss-mxfp4-expert", "onnx-matmulnbits", "make"];
const folders = there
  ? readdirSync(root).filter((one) => !OTHERS.includes(one) && existsSync(new URL(`${one}/config.json`, root)))
  : [];

if (!there) t.skip("hf-quant", "../shared/hf-quant is not there");
else {
  t("all folders are here", () => is(folders.length, 25));
  for (const folder of folders) {
    t(`${folder}: weights and logits`, async () => {
      const before = used();
      const files = await filesOf(folder);
      const expected = tensorsOf(read(folder, "expected.safetensors"));
      const hashes = (JSON.parse(read(folder, "expected.json").toString()) as { sha256: Record<string, string> })
        .sha256;
      const file = await checkpoint(lb, files);
      for (const name of MODULES) {
        const matrix = await file.matrix(name);
        const w = matrix.dequantize();
        const { cols } = matrix;
        matrix.dispose();
        const numbers = new Float32Array(bufferOf(expected, `${name}.weight`));
        const ids = bufferOf(expected, `${name}.weight.rows`);
        const rows = ids.byteLength
          ? new Int32Array(ids)
          : Int32Array.from({ length: numbers.length / cols }, (_, i) => i);
        const most = numbers.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
        const bound = NEAR[folder];
        if (bound === undefined) {
          const hash = createHash("sha256")
            .update(new Uint8Array(w.buffer, w.byteOffset, w.byteLength))
            .digest("hex");
          let worst = 0;
          for (const [i, row] of rows.entries())
            for (let col = 0; col < cols; col++)
              worst = Math.max(worst, Math.abs((w[row * cols + col] as number) - (numbers[i * cols + col] as number)));
          is(hash, hashes[`${name}.weight`], `${name}: bits (worst ${worst} of ${most})`);
        } else {
          for (const [i, row] of rows.entries()) {
            for (let col = 0; col < cols; col++) {
              const off = Math.abs((w[row * cols + col] as number) - (numbers[i * cols + col] as number));
              ok(off <= bound * most, `${name}: ${off} off at row ${row}, column ${col} (largest ${most})`);
            }
          }
        }
      }
      await file.close();
      const tokens = new Int32Array(bufferOf(expected, "tokens"));
      const positions = new Int32Array(bufferOf(expected, "logits.rows"));
      for (const [activation, name] of [
        ["f32", "logits"],
        ["int8", "logits_int8_activations"],
      ] as const) {
        if (!expected.has(name)) continue;
        const model = await load(lb, files, { activation });
        const actual: number[] = [];
        for (const position of positions) {
          const prompt = Array.from(tokens.subarray(0, position + 1));
          await model.generate(prompt, { maxTokens: 1, logits: (values) => void actual.push(...values) });
        }
        model.dispose();
        nmseBelow(
          actual,
          new Float32Array(bufferOf(expected, name)),
          activation === "f32" ? 1e-9 : 1e-3,
          `${folder}: ${name}`,
        );
      }
      is(used(), before, "memory is given back");
    });
  }

  t("gptoss-mxfp4-expert: bits of each expert", async () => {
    const folder = "gptoss-mxfp4-expert";
    const numbers = new Float32Array(
      bufferOf(tensorsOf(read(folder, "expected.safetensors")), "model.layers.0.mlp.experts.gate_up_proj"),
    );
    const file = await checkpoint(lb, new URL(`${folder}/`, root));
    for (const expert of [0, 1]) {
      const matrix = await file.matrix("model.layers.0.mlp.experts.gate_up_proj", { expert });
      const w = matrix.dequantize();
      is([matrix.rows, matrix.cols].join("x"), "192x256");
      // Transposed there.
      for (let i = 0; i < w.length; i++) {
        const [row, col] = [Math.floor(i / 256), i % 256];
        ok(w[i] === numbers[(expert * 256 + col) * 192 + row], `expert ${expert}, row ${row}, column ${col}`);
      }
      matrix.dispose();
    }
    await rejectsWith(
      file.matrix("model.layers.0.mlp.experts.gate_up_proj", { expert: 2 }),
      RangeError,
      "_blocks: expected an expert from 0 to 1, got 2",
    );
    await file.close();
  });

  t("onnx-matmulnbits: all nodes", async () => {
    const folder = "onnx-matmulnbits";
    const tensors = tensorsOf(read(folder, "model.safetensors"));
    const expected = tensorsOf(read(folder, "expected.safetensors"));
    const nodes = JSON.parse(read(folder, "attributes.json").toString()) as Record<
      string,
      { K: number; N: number; bits: 2 | 4 | 8; block_size: number }
    >;
    is(Object.keys(nodes).length, 21);
    for (const [name, { K, N, bits, block_size }] of Object.entries(nodes)) {
      const part = (end: string): { dtype: "float32" | "float16"; data: Uint8Array } | undefined => {
        const tensor = tensors.get(`${name}.${end}`);
        return tensor && { dtype: tensor.dtype === "F32" ? "float32" : "float16", data: tensor.data };
      };
      const zero = tensors.get(`${name}.zero_points`);
      const matrix = uniform.fromMatMulNBits(lb, {
        ...{ rows: N, cols: K, bits, blockSize: block_size },
        packed: tensors.get(`${name}.B`)?.data as Uint8Array,
        scales: part("scales") as NonNullable<ReturnType<typeof part>>,
        ...(zero && {
          zeroPoints: zero.dtype === "U8" ? zero.data : (part("zero_points") as NonNullable<ReturnType<typeof part>>),
        }),
      });
      const w = matrix.dequantize();
      matrix.dispose();
      const numbers = new Float32Array(bufferOf(expected, name));
      const most = numbers.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
      let off = 0;
      for (const [i, v] of numbers.entries()) off = Math.max(off, Math.abs(v - (w[i] as number)));
      ok(off <= 2 ** -22 * most, `${name}: ${off} of ${most}`);
    }
  });

  const Q = "model.layers.0.self_attn.q_proj";
  type Change = Parameters<typeof filesOf>[1];
  const without =
    (part: string): Change =>
    (tensors) =>
      void tensors.delete(`${Q}.${part}`);
  const other =
    (part: string, change: object): Change =>
    (tensors) => {
      const tensor = tensors.get(`${Q}.${part}`);
      if (tensor) tensors.set(`${Q}.${part}`, { ...tensor, ...change });
    };
  const settings =
    (change: object) =>
    (config: Config): void => {
      config.quantization_config = { ...(config.quantization_config as Config), ...change };
    };
  const none = (): void => {};
  const hostile: readonly (readonly [
    folder: string,
    fault: string,
    change: Change,
    config: (c: Config) => void,
    text: RegExp,
  ])[] = [
    [
      "gptq-4bit-g128-actorder",
      "no scales",
      without("scales"),
      none,
      /q_proj\.scales: expected a tensor of this name, got none/,
    ],
    ["gptq-4bit-g128-actorder", "no qweight", without("qweight"), none, /q_proj\.qweight: expected a tensor/],
    ["gptq-4bit-g128-actorder", "no order", without("g_idx"), none, /q_proj\.g_idx: .*desc_act/],
    [
      "gptq-4bit-g128-actorder",
      "five bits",
      none,
      settings({ bits: 5 }),
      /quantization_config\.bits: expected 2, 3, 4, 8, got 5/,
    ],
    ["gptq-4bit-g128-actorder", "eight bits of four", none, settings({ bits: 8 }), /q_proj\.qweight: expected shape/],
    [
      "gptq-4bit-g128-actorder",
      "another group",
      none,
      settings({ group_size: 64 }),
      /q_proj\.scales: expected shape \[4, 256\]/,
    ],
    [
      "gptq-4bit-g128-actorder",
      "a third format",
      none,
      settings({ checkpoint_format: "marlin" }),
      /checkpoint_format: expected "gptq" \| "gptq_v2"/,
    ],
    [
      "gptq-4bit-g128-actorder",
      "left alone, yet packed",
      none,
      settings({ dynamic: { "-:.*": {} } }),
      /qweight: expected none: the configuration leaves this module alone/,
    ],
    [
      "gptq-4bit-g128-actorder",
      "an expression that is none",
      none,
      settings({ dynamic: { "-:(": {} } }),
      /expected expressions that can be read/,
    ],
    [
      "awq-4bit-g64",
      "scales of integers",
      other("scales", { dtype: "I16" }),
      none,
      /q_proj\.scales: expected F16 or BF16 or F32, got I16/,
    ],
    ["awq-4bit-g64", "gemv", none, settings({ version: "gemv" }), /version: expected "gemm"/],
    ["ct-pack-int4-g128", "no shape", without("weight_shape"), none, /q_proj\.weight_shape: expected a tensor/],
    [
      "ct-nvfp4",
      "no global scale",
      without("weight_global_scale"),
      none,
      /q_proj\.weight_global_scale: expected a tensor/,
    ],
    [
      "bnb-nf4-double",
      "no map of scales",
      without("weight.nested_quant_map"),
      none,
      /nested_quant_map: expected a tensor/,
    ],
    [
      "bnb-nf4-double",
      "JSON that is none",
      other("weight.quant_state.bitsandbytes__nf4", { shape: [1], data: Uint8Array.of(91) }),
      none,
      /bitsandbytes__nf4: expected JSON/,
    ],
    [
      "bnb-int8",
      "another order",
      other("weight_format", { data: Uint8Array.of(2) }),
      none,
      /weight_format: expected 0/,
    ],
    [
      "hqq-4bit-g64",
      "an axis",
      other("axis", { data: Uint8Array.of(7, 0, 0, 0) }),
      none,
      /q_proj\.axis: expected 0 or 1, got 7/,
    ],
    [
      "fp8-block128",
      "other blocks",
      none,
      settings({ weight_block_size: [64, 64] }),
      /weight_scale_inv: expected shape \[4, 4\]/,
    ],
    ["bitnet-bitlinear", "no scale", without("weight_scale"), none, /q_proj\.weight_scale: expected a tensor/],
    ["mlx-4bit-g64", "no biases", without("biases"), none, /q_proj\.biases: expected a tensor/],
    ["aqlm-2x8-g8", "AQLM", none, none, /"aqlm": no format here adds vectors/],
    ["fp8-block128", "a name that is close", none, settings({ quant_method: "gptqq" }), /did you mean "gptq"\?/],
    ["fp8-block128", "no name", none, settings({ quant_method: 7 }), /quant_method/],
  ];
  for (const [folder, fault, change, config, text] of hostile) {
    t(`refused: ${folder}, ${fault}`, async () => {
      const before = used();
      const files = await filesOf(folder, change, config);
      let said: unknown;
      try {
        (await load(lb, files, { activation: "f32" })).dispose();
      } catch (error) {
        said = error;
      }
      ok(said instanceof RangeError || said instanceof TypeError, `${String(said)}`);
      ok(text.test((said as Error).message), (said as Error).message);
      is(used(), before, "memory is given back");
    });
  }
}

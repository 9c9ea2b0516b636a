// The table: a name of `quant_method` to what it says of tensors. Layouts are drawn at the importers that read them.
import * as codebook from "../../formats/codebook/index.ts";
import * as uniform from "../../formats/uniform/index.ts";
import type { UniformBits } from "../../kernels/types.ts";
import { bitnet } from "./bitnet.ts";
import { bitsAndBytes } from "./bitsandbytes.ts";
import { compressedTensors } from "./compressed-tensors.ts";
import { blockOf, fp8Layer, type HubLayer, integerActivation, type Method, nvfp4Layer } from "./layers.ts";
import { beginning, contains, listed, type Settings } from "./settings.ts";
import { FLOAT_TYPES, floats, type Module, words } from "./tensors.ts";

type MethodOf = (settings: Settings) => Method;

/** Methods that are known, and why there is no reading of them. */
export const REFUSED: Readonly<Record<string, string>> = {
  aqlm: "no format here adds vectors of several codebooks",
  vptq: "no format here has codebooks of long vectors",
  torchao: "its tensors are subclasses without a settled layout",
};

export function methods(): Readonly<Record<string, MethodOf>> {
  return {
    gptq,
    awq,
    "compressed-tensors": compressedTensors,
    bitsandbytes: bitsAndBytes,
    hqq,
    fp8,
    mxfp4,
    modelopt,
    bitnet,
    mlx,
  };
}

const I32 = ["I32"] as const;

function gptq(settings: Settings): Method {
  const bits = settings.integer("bits", [2, 3, 4, 8]);
  const groupSize = settings.groupSize();
  const format = settings.choice("checkpoint_format", ["gptq", "gptq_v2"], "gptq");
  settings.choice("pack_dtype", ["int32"], "int32");
  const rules = Object.keys(settings.object("dynamic")?.json ?? {}).map((rule) => ({
    left: rule.startsWith("-:"),
    matches: beginning(rule.replace(/^[+-]:/, "")),
    own: rule.startsWith("-:") ? undefined : settings.object("dynamic")?.object(rule),
  }));
  // The first that fits counts.
  const ruleOf = (name: string): (typeof rules)[number] | undefined => rules.find(({ matches }) => matches.test(name));
  const read = (m: Module): HubLayer => {
    const own = ruleOf(m.name)?.own;
    const size = own?.get("bits") === undefined ? bits : own.integer("bits", [2, 3, 4, 8]);
    const group = own?.get("group_size") === undefined ? groupSize : own.groupSize();
    const actOrder = (own ?? settings).flag("desc_act", settings.flag("desc_act", false));
    const symmetric = (own ?? settings).flag("sym", settings.flag("sym", true));
    const qweight = m.matrix("qweight", I32);
    const gIdx = m.has("g_idx") ? m.need("g_idx", I32, 1) : undefined;
    const rows = qweight.cols;
    const cols = gIdx ? (gIdx.shape[0] as number) : Math.floor((qweight.rows * 32) / size);
    const high = Math.ceil((cols * size) / 32);
    m.shaped("qweight", I32, high, rows);
    const groups = group === -1 ? 1 : Math.ceil(cols / group);
    const scales = m.shaped("scales", FLOAT_TYPES, groups, rows);
    // Without zero points a checkpoint is symmetric or says so in vain.
    const qzeros =
      m.has("qzeros") || !symmetric ? m.shaped("qzeros", I32, groups, Math.ceil((rows * size) / 32)) : undefined;
    if (actOrder && gIdx === undefined) m.refuse("g_idx", "a tensor of this name (desc_act is true)", "none");
    return {
      rows,
      cols,
      pack: (lb, activation) =>
        uniform.fromGptq(lb, {
          ...{ rows, cols, groupSize: group, bits: size as 2 | 3 | 4 | 8, format },
          qweight: words(qweight.data),
          scales: floats(scales),
          ...(qzeros && { qzeros: words(qzeros.data) }),
          ...(gIdx && { gIdx: words(gIdx.data) }),
          ...integerActivation(activation),
        }),
    };
  };
  return { parts: ["qweight", "qzeros", "scales", "g_idx"], left: (name) => ruleOf(name)?.left === true, read };
}

function awq(settings: Settings): Method {
  settings.integer("bits", [4, 4], settings.get("w_bit") as number | undefined);
  const groupSize =
    settings.get("group_size") === undefined ? settings.integer("q_group_size", [-1, 2 ** 24]) : settings.groupSize();
  settings.choice("version", ["gemm", "GEMM"], "gemm");
  const read = (m: Module): HubLayer => {
    const qweight = m.matrix("qweight", I32);
    const [cols, rows] = [qweight.rows, 8 * qweight.cols];
    const groups = groupSize === -1 ? 1 : Math.ceil(cols / groupSize);
    const qzeros = m.shaped("qzeros", I32, groups, qweight.cols);
    const scales = m.shaped("scales", FLOAT_TYPES, groups, rows);
    return {
      rows,
      cols,
      pack: (lb, activation) =>
        uniform.fromAwq(lb, {
          ...{ rows, cols, groupSize },
          qweight: words(qweight.data),
          qzeros: words(qzeros.data),
          scales: floats(scales),
          ...integerActivation(activation),
        }),
    };
  };
  return { parts: ["qweight", "qzeros", "scales"], left: contains(settings.names("modules_to_not_convert")), read };
}

const HQQ_FLAGS = ["view_as_float", "quant_scale", "quant_zero"];

function hqq(settings: Settings): Method {
  const params = settings.object("quant_config")?.object("weight_quant_params");
  const stated = { bits: params?.get("nbits"), groupSize: params?.get("group_size"), axis: params?.get("axis") };
  const read = (m: Module): HubLayer => {
    const number = (part: string, value: unknown): number => {
      if (m.has(part)) return m.scalar(part);
      return typeof value === "number" ? value : m.scalar(part);
    };
    const bits = number("nbits", stated.bits);
    const groupSize = number("group_size", stated.groupSize);
    const axis = number("axis", stated.axis);
    if (axis !== 0 && axis !== 1) m.refuse("axis", "0 or 1", String(axis));
    if (![2, 4, 8].includes(bits)) m.refuse("nbits", "2, 4 or 8", String(bits));
    for (const flag of HQQ_FLAGS) {
      if (m.has(flag) && m.scalar(flag) !== 0) m.refuse(flag, "0", "1: another layout, which is not read");
    }
    const shape = words(m.shaped("shape", ["I64"], 2).data);
    const [rows, cols] = [shape[0] as number, shape[2] as number];
    if (rows < 1 || cols < 1 || shape[1] !== 0 || shape[3] !== 0) m.refuse("shape", "two sizes", `${shape.join(", ")}`);
    if (groupSize < 1 || (rows * cols) % groupSize !== 0) {
      m.refuse("group_size", `a divisor of ${rows} x ${cols}`, String(groupSize));
    }
    const groups = (rows * cols) / groupSize;
    const [high, wide] = axis === 1 ? [groups, groupSize] : [groupSize, groups];
    const packed = m.shaped("W_q", ["U8"], (high * bits) / 8, wide);
    const each = axis === 1 ? [groups, 1] : [1, groups];
    const [scale, zero] = [m.shaped("scale", FLOAT_TYPES, ...each), m.shaped("zero", FLOAT_TYPES, ...each)];
    return {
      rows,
      cols,
      pack: (lb, activation) =>
        uniform.fromHqq(lb, {
          ...{ rows, cols, groupSize, axis: axis as 0 | 1, bits: bits as 2 | 4 | 8 },
          packed: packed.data,
          scale: floats(scale),
          zero: floats(zero),
          ...(axis === 1 && integerActivation(activation)),
        }),
    };
  };
  const parts = ["W_q", "scale", "zero", "shape", "nbits", "group_size", "axis", "packing", "compute_dtype"];
  const more = ["unpack_view_dtype", "channel_wise", "encoded_state_dict", "offload_meta", "optimize", "round_zero"];
  return {
    parts: [...parts, ...more, "stores_quant_config", ...HQQ_FLAGS],
    left: listed(settings.names("skip_modules")),
    read,
  };
}

function fp8(settings: Settings): Method {
  const block = blockOf(settings, "weight_block_size");
  return {
    parts: ["weight", "weight_scale_inv", "weight_scale", "input_scale", "activation_scale"],
    left: listed(settings.names("modules_to_not_convert")),
    read: (m) => fp8Layer(m, m.has("weight_scale") ? "weight_scale" : "weight_scale_inv", block),
  };
}

/** NVIDIA's ModelOpt, whose configuration was read nowhere but in checkpoints' descriptions. */
function modelopt(settings: Settings): Method {
  const algorithm = settings.choice("quant_algo", ["NVFP4", "FP8"]);
  const ignored = [...settings.names("ignore"), ...settings.names("exclude_modules")];
  return {
    parts: ["weight", "weight_scale", "weight_scale_2", "input_scale"],
    left: listed(ignored),
    read: (m) => (algorithm === "FP8" ? fp8Layer(m, "weight_scale") : nvfp4Layer(m, "weight", "weight_scale_2", false)),
  };
}

/** Experts of gpt-oss: [experts, rows, cols / 32, 16] with exponents [experts, rows, cols / 32]. */
function mxfp4(settings: Settings): Method {
  const read = (m: Module, expert: number | undefined): HubLayer => {
    const blocks = m.shaped("_blocks", ["U8"], -1, -1, -1, 16);
    const [experts, rows, perRow] = blocks.shape as [number, number, number];
    const scales = m.shaped("_scales", ["U8"], experts, rows, perRow);
    if (expert === undefined || !(expert >= 0 && expert < experts)) {
      m.refuse("_blocks", `an expert from 0 to ${experts - 1}`, String(expert));
    }
    const cols = 32 * perRow;
    const at = (expert as number) * rows;
    const own = (data: Uint8Array, size: number): Uint8Array => data.subarray(at * size, (at + rows) * size);
    return {
      rows,
      cols,
      pack: (lb, activation, order) => {
        const pick = (data: Uint8Array, size: number): Uint8Array =>
          order ? takeLines(own(data, size), size, order) : own(data, size);
        return codebook.fromMxfp4(lb, {
          rows: order?.length ?? rows,
          cols,
          blocks: pick(blocks.data, 16 * perRow),
          scales: pick(scales.data, perRow),
          ...integerActivation(activation),
        });
      },
    };
  };
  return { parts: ["_blocks", "_scales"], left: listed(settings.names("modules_to_not_convert")), read };
}

function takeLines(from: Uint8Array, size: number, order: Uint32Array): Uint8Array {
  const out = new Uint8Array(order.length * size);
  for (const [i, line] of order.entries()) out.set(from.subarray(line * size, (line + 1) * size), i * size);
  return out;
}

const MLX_BITS = [2, 3, 4, 5, 6, 8];

function mlx(settings: Settings): Method {
  const bits = settings.integer("bits", MLX_BITS);
  const groupSize = settings.groupSize();
  settings.choice("mode", ["affine"], "affine");
  const read = (m: Module): HubLayer => {
    const own = typeof settings.get(m.name) === "object" ? settings.object(m.name) : undefined;
    const size = own?.integer("bits", MLX_BITS, bits) ?? bits;
    const group = own?.groupSize(groupSize) ?? groupSize;
    own?.choice("mode", ["affine"], "affine");
    const weight = m.matrix("weight", ["U32", "I32"]);
    const rows = weight.rows;
    const cols = (weight.cols * 32) / size;
    if (!Number.isInteger(cols)) m.refuse("weight", `whole codes of ${size} bits`, `${weight.cols} words a row`);
    const groups = group === -1 ? 1 : Math.ceil(cols / group);
    const [scales, biases] = ["scales", "biases"].map((part) => m.shaped(part, FLOAT_TYPES, rows, groups)) as [
      ReturnType<Module["shaped"]>,
      ReturnType<Module["shaped"]>,
    ];
    return {
      rows,
      cols,
      pack: (lb, activation) =>
        uniform.fromMlx(lb, {
          ...{ rows, cols, groupSize: group, bits: size as UniformBits, weight: words(weight.data) },
          scales: floats(scales),
          biases: floats(biases),
          ...integerActivation(activation),
        }),
    };
  };
  return { parts: ["weight", "scales", "biases"], left: (name) => settings.get(name) === false, read };
}

// compressed-tensors: groups of modules, each with a format of its own.
import { fromMxfp4 } from "../../formats/codebook/index.ts";
import { fromCompressed, pack as packUniform } from "../../formats/uniform/index.ts";
import { blockOf, fp8Layer, type HubLayer, integerActivation, type Method, nvfp4Layer } from "./layers.ts";
import { expressions, type Settings } from "./settings.ts";
import { FLOAT_TYPES, floats, type Module, raised, words } from "./tensors.ts";

const FORMATS = [
  ...["pack-quantized", "int-quantized", "naive-quantized", "float-quantized"],
  ...["nvfp4-pack-quantized", "mxfp4-pack-quantized"],
];

interface Group {
  readonly takes: (module: string) => boolean;
  readonly format: string;
  readonly weights: Settings;
}

export function compressedTensors(settings: Settings): Method {
  const all = settings.object("config_groups") ?? settings.refuse("config_groups", "an object");
  const common = settings.choice("format", [...FORMATS, "mixed-precision", "dense"], "dense");
  const groups: Group[] = [];
  for (const name of Object.keys(all.json)) {
    const group = all.object(name);
    const weights = group?.object("weights");
    if (group === undefined || weights === undefined) continue;
    const targets = group.names("targets");
    const named = expressions(targets);
    // Every module with a weight is a Linear here.
    const takes = (module: string): boolean => targets.includes("Linear") || named(module);
    groups.push({
      takes,
      weights,
      format: group.choice(
        "format",
        FORMATS,
        FORMATS.find((one) => one === common),
      ),
    });
  }
  const ignored = expressions(settings.names("ignore"));
  const groupOf = (name: string): Group | undefined => groups.find(({ takes }) => takes(name));
  return {
    parts: [
      ...["weight", "weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx"],
      ...["weight_global_scale", "input_scale", "input_zero_point", "input_global_scale"],
    ],
    left: (name) => ignored(name) || groupOf(name) === undefined,
    read: (m) => readGroup(m, groupOf(m.name) as Group),
  };
}

function readGroup(m: Module, { format, weights }: Group): HubLayer {
  if (format === "pack-quantized") return readPacked(m, weights);
  if (format === "nvfp4-pack-quantized") return nvfp4Layer(m, "weight_packed", "weight_global_scale", true);
  if (format === "mxfp4-pack-quantized") return readMxfp4(m);
  const float = format === "float-quantized" || (format === "naive-quantized" && weights.get("type") === "float");
  if (float) {
    const block = weights.get("strategy") === "block" ? blockOf(weights, "block_structure") : undefined;
    return fp8Layer(m, "weight_scale", block);
  }
  return readInt8(m, weights);
}

/** Columns that share a scale. */
function groupSizeOf(weights: Settings): number {
  const strategy = weights.choice("strategy", ["tensor", "channel", "group"], "tensor");
  return strategy === "group" ? weights.groupSize() : -1;
}

function readPacked(m: Module, weights: Settings): HubLayer {
  const bits = weights.integer("num_bits", [2, 3, 4, 5, 6, 7, 8]);
  const groupSize = groupSizeOf(weights);
  const packed = m.matrix("weight_packed", ["I32"]);
  const shape = words(m.shaped("weight_shape", ["I64", "I32"], 2).data);
  const wide = shape.length === 4;
  const [rows, cols] = [shape[0] as number, shape[wide ? 2 : 1] as number];
  if (rows !== packed.rows || cols < 1 || (wide && (shape[1] !== 0 || shape[3] !== 0))) {
    m.refuse("weight_shape", `[${packed.rows}, columns]`, `[${rows}, ${cols}]`);
  }
  const groups = groupSize === -1 ? 1 : Math.ceil(cols / groupSize);
  const scale = m.need("weight_scale", FLOAT_TYPES);
  if (scale.shape.length !== 1 || scale.shape[0] !== 1) m.shaped("weight_scale", FLOAT_TYPES, rows, groups);
  const symmetric = weights.flag("symmetric", true);
  const zero = symmetric ? undefined : m.shaped("weight_zero_point", ["I32"], -1, groups);
  const gIdx = m.has("weight_g_idx") ? m.shaped("weight_g_idx", ["I32"], cols) : undefined;
  return {
    rows,
    cols,
    pack: (lb, activation) =>
      fromCompressed(lb, {
        ...{ rows, cols, groupSize, bits, packed: words(packed.data), scales: floats(scale) },
        ...(zero && { zeroPoints: words(zero.data) }),
        ...(gIdx && { gIdx: words(gIdx.data) }),
        ...integerActivation(activation),
      }),
  };
}

function readInt8(m: Module, weights: Settings): HubLayer {
  weights.integer("num_bits", [8, 8]);
  const groupSize = groupSizeOf(weights);
  const weight = m.matrix("weight", ["I8"]);
  const { rows, cols } = weight;
  const scale = m.need("weight_scale", FLOAT_TYPES);
  const groups = groupSize === -1 ? 1 : Math.ceil(cols / groupSize);
  if (scale.shape.length !== 1 || scale.shape[0] !== 1) m.shaped("weight_scale", FLOAT_TYPES, rows, groups);
  const zero = weights.flag("symmetric", true) ? undefined : m.shaped("weight_zero_point", ["I8"], rows, groups);
  return {
    rows,
    cols,
    pack: (lb, activation) =>
      packUniform(lb, {
        ...{ rows, cols, groupSize, bits: 8, codes: raised(weight.data), scales: floats(scale) },
        ...(zero && { zeros: Float32Array.from(raised(zero.data)) }),
        ...integerActivation(activation),
      }),
  };
}

function readMxfp4(m: Module): HubLayer {
  const packed = m.matrix("weight_packed", ["U8"]);
  const [rows, cols] = [packed.rows, 2 * packed.cols];
  const scales = m.shaped("weight_scale", ["U8", "F8_E8M0"], rows, Math.ceil(cols / 32));
  return {
    rows,
    cols,
    pack: (lb, activation) =>
      fromMxfp4(lb, { rows, cols, blocks: packed.data, scales: scales.data, ...integerActivation(activation) }),
  };
}

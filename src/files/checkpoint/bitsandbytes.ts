// bitsandbytes: NF4 and FP4, their scales quantised again or not, and int8 with a scale a row.
import { fromBitsAndBytes } from "../../formats/codebook/index.ts";
import { pack as packUniform } from "../../formats/uniform/index.ts";
import { type HubLayer, integerActivation, type Method } from "./layers.ts";
import { listed, type Settings } from "./settings.ts";
import { floats, type Module, raised, type StoredTensor } from "./tensors.ts";

const PARTS = [
  "weight.absmax",
  "weight.quant_map",
  "weight.nested_absmax",
  "weight.nested_quant_map",
  "weight.quant_state.bitsandbytes__nf4",
  "weight.quant_state.bitsandbytes__fp4",
];

export function bitsAndBytes(settings: Settings): Method {
  const eight = settings.flag("load_in_8bit", settings.flag("_load_in_8bit", false));
  const four = settings.flag("load_in_4bit", settings.flag("_load_in_4bit", false));
  if (eight === four) settings.refuse("load_in_4bit", "one of load_in_4bit and load_in_8bit");
  const left = listed(settings.names("llm_int8_skip_modules"));
  if (eight) return { parts: ["weight", "SCB", "weight_format"], left, read: readInt8 };
  const type = settings.choice("bnb_4bit_quant_type", ["nf4", "fp4"], "fp4");
  return { parts: ["weight", ...PARTS], left, read: (m) => readFour(m, type) };
}

// w = q · SCB / 127.
function readInt8(m: Module): HubLayer {
  const weight = m.matrix("weight", ["I8"]);
  const { rows, cols } = weight;
  const scb = m.shaped("SCB", ["F32"], rows);
  if (m.has("weight_format") && m.scalar("weight_format") !== 0) {
    m.refuse("weight_format", "0, rows in order", String(m.scalar("weight_format")));
  }
  return {
    rows,
    cols,
    pack: (lb, activation) => {
      const scales = new Float32Array(rows);
      const view = new DataView(scb.data.buffer, scb.data.byteOffset);
      for (let row = 0; row < rows; row++) scales[row] = view.getFloat32(4 * row, true) / 127;
      return packUniform(lb, {
        rows,
        cols,
        bits: 8,
        codes: raised(weight.data),
        scales,
        ...integerActivation(activation),
      });
    },
  };
}

function readFour(m: Module, type: "nf4" | "fp4"): HubLayer {
  const weight = m.need("weight", ["U8"]);
  const name = `weight.quant_state.bitsandbytes__${type}`;
  const state = readState(m, name, m.need(name, ["U8"], 1));
  const [rows, cols] = state.shape;
  const length = rows * cols;
  const packed = Math.ceil(length / 2);
  if (weight.data.length !== packed) {
    m.refuse("weight", `${packed} bytes (shape [${rows}, ${cols}] of ${name})`, String(weight.data.length));
  }
  const blocks = Math.ceil(length / state.blocksize);
  const absmax = m.shaped("weight.absmax", ["F32", "U8"], blocks);
  const nested = absmax.dtype === "U8";
  const nestedBlocks = Math.ceil(blocks / state.nested_blocksize);
  const outer = nested ? m.shaped("weight.nested_absmax", ["F32"], nestedBlocks) : undefined;
  const map = nested ? m.shaped("weight.nested_quant_map", ["F32"], 256) : undefined;
  const quantMap = m.has("weight.quant_map") ? m.shaped("weight.quant_map", ["F32"], 16) : undefined;
  return {
    rows,
    cols,
    pack: (lb, activation) =>
      fromBitsAndBytes(lb, {
        ...{ rows, cols, type, packed: weight.data, blockSize: state.blocksize },
        absmax: nested ? absmax.data : floats(absmax),
        ...(outer &&
          map && {
            nestedAbsmax: floats(outer),
            nestedMap: floats(map),
            nestedOffset: state.nested_offset,
            nestedBlockSize: state.nested_blocksize,
          }),
        ...(quantMap && { quantMap: floats(quantMap) }),
        ...integerActivation(activation),
      }),
  };
}

interface State {
  readonly shape: readonly [number, number];
  readonly blocksize: number;
  readonly nested_blocksize: number;
  readonly nested_offset: number;
}

function readState(m: Module, name: string, { data }: StoredTensor): State {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(data));
  } catch {
    json = undefined;
  }
  const state = typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
  const { shape, blocksize, nested_blocksize = 256, nested_offset = 0 } = state;
  const whole = (n: unknown): n is number => Number.isInteger(n) && (n as number) > 0 && (n as number) < 2 ** 30;
  if (
    !Array.isArray(shape) ||
    shape.length !== 2 ||
    !shape.every(whole) ||
    !whole(blocksize) ||
    !whole(nested_blocksize)
  ) {
    m.refuse(name, "JSON with a shape of two and a blocksize", new TextDecoder().decode(data.subarray(0, 80)));
  }
  if (typeof nested_offset !== "number") m.refuse(name, "a number nested_offset", typeof nested_offset);
  return { shape: shape as unknown as [number, number], blocksize, nested_blocksize, nested_offset } as State;
}

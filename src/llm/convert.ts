// From one container to another: tensors as they are, or as numbers of one type under their names.

import { openSource } from "../files/checkpoint/folder.ts";
import { isFloat } from "../files/checkpoint/tensors.ts";
import {
  type FileTensor,
  ggml,
  type Source,
  type SourceOptions,
  type TensorContent,
  writeGguf,
  writeSafetensors,
} from "../files/index.ts";
import { plain, quote } from "../files/text.ts";
import { checkChoice, rangeError } from "../lib/check.ts";
import { floatsToBfloat16, floatsToHalves } from "../lib/half.ts";
import { engineOf } from "../runtime/engine.ts";
import type { Lowbit } from "../runtime/features.ts";
import { openOwn } from "./own-file.ts";
import { quantizeFile } from "./quantize-file.ts";
import { floatsOf, isPacked } from "./tensors.ts";

export type NumberType = "f32" | "f16" | "bf16";
const TYPES: readonly NumberType[] = ["f32", "f16", "bf16"];

export interface ConvertOptions extends Pick<SourceOptions, "headers" | "signal"> {
  /** Weights become numbers of this type, in a safetensors file. Default: they stay as they are. */
  readonly dtype?: NumberType;
  /** Bytes that were written, of how many. */
  readonly onProgress?: (written: number, total: number) => void;
}

/**
 * Writes the tensors of a checkpoint to a file of the container that its name says: *.gguf or *.safetensors. Blocks of GGUF files become
 * matrices of a file of lowbit's own, or with `dtype` numbers.
 *
 * @param target a path
 * @throws RangeError for a target of another name, a conversion that would invent what no file says, and numbers beyond float16;
 * FileError; the reason of an aborted signal. Nothing is left then
 */
export async function convertFile(
  lb: Lowbit,
  source: Source,
  target: string,
  options: ConvertOptions = {},
): Promise<void> {
  const where = "convert";
  const { dtype, headers, signal, onProgress } = options;
  if (dtype !== undefined) checkChoice(`${where}: dtype`, dtype, TYPES);
  const to = /\.(gguf|safetensors)$/i.exec(target)?.[1]?.toLowerCase();
  if (to === undefined)
    throw rangeError(`${where}: target`, "a name that ends in .gguf or .safetensors", quote(target));
  const write = { ...(signal && { signal }), ...(onProgress && { onProgress }) };
  const [opened, beside] = await openSource("convert", source, {
    ...(headers && { headers }),
    ...(signal && { signal }),
  });
  try {
    if (dtype !== undefined) {
      if (to === "gguf") throw rangeError(`${where}: target`, "a .safetensors file for numbers", quote(target));
      const [{ tensors }] = await openOwn(opened, beside);
      const content = [...tensors.values()].map((tensor) => asNumbers(lb, tensor, dtype, signal));
      await writeSafetensors(target, { metadata: { format: "pt" }, tensors: content }, write);
      return;
    }
    const tensors = [...opened.tensors.values()].map((tensor) => ({ ...tensor, data: tensor }));
    if (opened.container === "gguf" && to === "gguf") {
      const metadata = new Map([...opened.metadata].filter(([key]) => !key.startsWith("split.")));
      await writeGguf(target, { metadata, tensors }, write);
    } else if (opened.container === "safetensors" && to === "safetensors") {
      const metadata = new Map([...opened.metadata].map(([key, { value }]): [string, string] => [key, String(value)]));
      await writeSafetensors(target, { metadata, tensors }, write);
    } else if (to === "safetensors") {
      await quantizeFile(lb, source, target, {
        ...{ format: "f32", rules: [{ pattern: /(?:)/, format: "keep" }] },
        ...(headers && { headers }),
        ...(signal && { signal }),
        ...(onProgress && { onTensor: (done, total) => onProgress(done, total) }),
      });
    } else {
      const what =
        "safetensors to safetensors: GGUF files have other names and say more of a model than a checkpoint does";
      throw rangeError(`${where}: target`, what, quote(target));
    }
  } finally {
    await opened.close();
  }
}

/** Weights that are converted at once. */
const SOME = 1 << 20;

function asNumbers(lb: Lowbit, tensor: FileTensor, type: NumberType, signal: AbortSignal | undefined): TensorContent {
  const { name, dtype, shape } = tensor;
  const floats = isFloat(dtype);
  // Whole numbers and bytes are no weights.
  if (!floats && !isPacked(tensor) && /^(BOOL|U8|[UI]\d+)$/.test(dtype)) return { ...tensor, data: tensor };
  const cols = shape.at(-1) ?? 1;
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  return {
    ...{ name, dtype: type.toUpperCase(), shape },
    async *data() {
      for await (const values of rowsOf(lb, tensor, rows, cols, signal)) yield bytesOf(name, values, type);
    },
  };
}

/** The numbers of some rows after the other. */
async function* rowsOf(
  lb: Lowbit,
  tensor: FileTensor,
  rows: number,
  cols: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Float32Array> {
  const { name, dtype, byteLength } = tensor;
  const step = Math.max(1, Math.floor(SOME / Math.max(1, cols)));
  if (isPacked(tensor)) {
    const { matrix } = await tensor.matrix(engineOf("convert", lb), "int8", signal);
    try {
      for (let row = 0; row < rows; row += step) {
        signal?.throwIfAborted();
        yield matrix.dequantizeRows(Uint32Array.from({ length: Math.min(step, rows - row) }, (_, i) => row + i));
      }
    } finally {
      matrix.dispose();
    }
    return;
  }
  const rowBytes = byteLength / rows;
  // I2_S has a scale behind all rows.
  const some = Number.isInteger(rowBytes) ? step : rows;
  for (let row = 0; row < rows; row += some) {
    const count = Math.min(some, rows - row);
    const data = await tensor.read({ begin: row * rowBytes, end: (row + count) * rowBytes, signal });
    const values =
      floatsOf({ dtype, shape: [count, cols], data }) ?? ggml.decode({ type: dtype, rows: count, cols, data, name });
    yield values;
  }
}

function bytesOf(name: string, values: Float32Array, type: NumberType): Uint8Array {
  if (type === "f16") {
    const large = values.findIndex((value) => Number.isFinite(value) && Math.abs(value) >= 65520);
    if (large >= 0) throw rangeError(`convert: ${plain(name)}`, "numbers that float16 has", values[large]);
  }
  const numbers = type === "f32" ? values : type === "f16" ? floatsToHalves(values) : floatsToBfloat16(values);
  return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

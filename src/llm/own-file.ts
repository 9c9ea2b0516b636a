// Models in files of lowbit's own (src/files/own/): matrices by the names of the tensors that they were made of, the other tensors as
// they were, and the files that stand beside a checkpoint as tensors of bytes: "config.json", "tokenizer.json", …; for a
// model from a GGUF file its header, "model.gguf".
import { readGguf } from "../files/gguf.ts";
import { FileError, type FileTensor, type WeightFile } from "../files/index.ts";
import { OwnFile } from "../files/own/load.ts";
import { plain } from "../files/text.ts";
import type { PackedTensor } from "./tensors.ts";

/** The header of a GGUF file, as a file without tensors. */
export const GGUF_HEADER = "model.gguf";
/** Files beside a checkpoint that a model is made of. */
export const BESIDE: readonly string[] = [
  ...["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"],
];

/** What else a file has under a name; undefined where there is none. */
type Reader = (name: string) => Promise<Uint8Array | undefined>;

/**
 * A file of lowbit's own as the checkpoint that it was made of; any other as it is.
 *
 * @throws FileError for a damaged file
 */
export async function openOwn(file: WeightFile, beside: Reader): Promise<readonly [file: WeightFile, read: Reader]> {
  if (!OwnFile.is(file)) return [file, beside];
  const own = new OwnFile(file);
  const tensors = new Map<string, FileTensor>();
  for (const name of own.names) {
    if (name === GGUF_HEADER || BESIDE.includes(name)) continue;
    const tensor = file.tensors.get(name) as FileTensor;
    const shape = own.shapeOf(name);
    tensors.set(name, shape ? packed(own, tensor, shape) : tensor);
  }
  const bytesOf: Reader = async (name) => {
    if (!file.tensors.has(name) || own.shapeOf(name)) return undefined;
    return (await own.tensors([name])).get(name)?.data;
  };
  const header = await bytesOf(GGUF_HEADER);
  const read: Reader = async (name) => (await bytesOf(name)) ?? (await beside(name));
  if (header === undefined) return [{ ...file, tensors }, read];
  const { metadata } = readGguf(`${plain(file.name)}: ${GGUF_HEADER}`, header, header.length);
  return [{ ...file, container: "gguf", metadata, tensors }, read];
}

function packed(own: OwnFile, tensor: FileTensor, shape: readonly number[]): FileTensor & PackedTensor {
  const { name } = tensor;
  return {
    ...tensor,
    dtype: own.labelOf(name),
    shape,
    async matrix(engine, prefer, signal) {
      const { matrices, complexMatrices, sums } = await own.load(engine, [name], { prefer, signal });
      for (const matrix of complexMatrices.values()) matrix.dispose();
      const matrix = matrices.get(name);
      if (matrix) return { matrix, mark: sums.get(name) as string };
      throw new FileError(`${plain(tensor.file)}: ${plain(name)}: expected real weights, got complex ones`);
    },
  };
}

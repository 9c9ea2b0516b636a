// lowbit/files: containers of weights, wherever they are, and matrices of them.
export { folderCache } from "./cache.ts";
export {
  type CheckpointFile,
  type CheckpointMatrixOptions,
  checkpoint,
  type Files,
} from "./checkpoint/index.ts";
export { type FileTensor, openWeights, type ReadOptions, type WeightFile, wholeNumber } from "./container.ts";
export { FileError } from "./errors.ts";
export * as ggml from "./ggml/index.ts";
export type { GgufArray, GgufScalar, GgufValue } from "./gguf.ts";
export type { ByteCache, ByteSource, Source, SourceOptions } from "./open-file.ts";
export {
  type LoadedMatrices,
  type LoadedTensor,
  type LoadMatricesOptions,
  loadMatrices,
  loadMatrix,
} from "./own/load.ts";
export { type FileContent, type PlainTensor, type SaveOptions, saveMatrices, saveMatrix } from "./own/save.ts";
export { parseSafetensors, type Safetensors, type Tensor } from "./safetensors.ts";
export {
  type ByteTarget,
  memoryTarget,
  type Target,
  type TensorContent,
  type TensorData,
} from "./target.ts";
export type { ShardTarget, WriteOptions } from "./write-files.ts";
export { type GgufContent, writeGguf } from "./write-gguf.ts";
export { type SafetensorsContent, writeSafetensors } from "./write-safetensors.ts";

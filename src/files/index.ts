// lowbit/files: containers of weights, without WebAssembly.
export { FileError } from "./errors.ts";
export { parseSafetensors, type Safetensors, type Tensor } from "./safetensors.ts";

// What the commands that write files use of the library: quantisers are a part of the bundle of their own.
export { init } from "lowbit";
export { convertFile } from "#lowbit/llm/convert";
export { quantizeFile } from "#lowbit/llm/quantize-file";

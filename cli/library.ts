// What commands use of the library, loaded together when it is needed; quantisers stay out of the bundle.
export { init } from "lowbit";
export { ggml, parseSafetensors } from "lowbit/files";
export { inspect, load, openai } from "lowbit/llm";
export { ADDRESS, cacheFolder } from "#lowbit/files/cache";

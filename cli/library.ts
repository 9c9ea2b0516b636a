// What commands use of the library, loaded together when it is needed; quantisers stay out of the bundle.
export { init } from "lowbit";
export { inspect, load, openai } from "lowbit/llm";

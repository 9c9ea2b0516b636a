// main.js awaits at its top level; the headers let a page have threads (docs/runtimes.md).
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default {
  build: { target: "es2022" },
  server: { headers },
  preview: { headers },
};

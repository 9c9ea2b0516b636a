// Search among embeddings of one bit a number: `node main.js`, after `npm install lowbit`.
import { binary, init } from "lowbit";

const rows = 10_000; // documents
const cols = 384; // numbers of an embedding
const embeddings = Float32Array.from({ length: rows * cols }, () => Math.random() - 0.5);

const lb = await init();
const index = binary.quantize(lb, embeddings, { rows, cols });
const query = embeddings.slice(42 * cols, 43 * cols).map((value) => value + 0.3 * (Math.random() - 0.5));
const scores = index.gemv(query);

const nearest = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 3);
console.log(`nearest: ${nearest.join(", ")}`); // 42 comes first
console.log(
  `${(index.byteLength / 1024).toFixed(0)} KiB instead of ${embeddings.byteLength / 1024}, ${lb.features.variant}`,
);

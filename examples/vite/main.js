// Search among embeddings of one bit a number, in a page. The kernels are a chunk of their own, fetched by init().
import { binary, init } from "lowbit";

const rows = 10_000;
const cols = 384;
const embeddings = Float32Array.from({ length: rows * cols }, () => Math.random() - 0.5);

const lb = await init({ threads: 2 }); // one, where the page is not isolated (vite.config.js)
const index = binary.quantize(lb, embeddings, { rows, cols });

const input = document.querySelector("input");
const output = document.querySelector("output");

function search() {
  const document = Number(input.value);
  const scores = index.gemv(embeddings.slice(document * cols, (document + 1) * cols));
  const nearest = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 3);
  const { variant, threads } = lb.features;
  output.textContent = `nearest: ${nearest.join(", ")} (${variant}, threads: ${threads})`;
}

input.addEventListener("input", search);
search();

// An edge worker: POST a query of 384 float32, get the documents nearest to it. Bytes may not be compiled here, so the
// `workerd` condition of the package imports the real .wasm.
import { binary, init } from "lowbit";

const rows = 1000;
const cols = 384;

/** Signs of the embeddings, which a service would read from its storage: here those of a fixed sequence. */
function signs() {
  let state = 1;
  return Int8Array.from({ length: rows * cols }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state < 0 ? -1 : 1;
  });
}

let index;

export default {
  async fetch(request) {
    // Once an isolate: what is made outside of a request may not wait for anything.
    index ??= binary.pack(await init(), { rows, cols, signs: signs(), scales: Float32Array.of(1) });
    if (request.method !== "POST") return new Response(`POST ${cols} float32\n`, { status: 405 });
    const body = await request.arrayBuffer();
    if (body.byteLength !== 4 * cols) {
      return new Response(`expected ${4 * cols} bytes, got ${body.byteLength}\n`, { status: 400 });
    }
    const scores = index.gemv(new Float32Array(body));
    const nearest = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 3);
    return Response.json(nearest.map((row) => ({ row, score: scores[row] })));
  },
};

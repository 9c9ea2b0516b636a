// A worker that takes a range of the first job and ends without having computed it.
import { parentPort } from "node:worker_threads";

parentPort.once("message", ({ control }) => {
  parentPort.postMessage("ready");
  for (;;) {
    const ticket = Atomics.load(control, 0);
    if ((ticket & 8191) === 0) continue;
    if (Atomics.compareExchange(control, 0, ticket, ticket - 1) === ticket) process.exit(3);
  }
});

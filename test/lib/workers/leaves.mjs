// A worker that ends before it has anything to do.
import { parentPort } from "node:worker_threads";

parentPort.once("message", () => {
  parentPort.postMessage("ready");
  setTimeout(() => process.exit(3), 20);
});

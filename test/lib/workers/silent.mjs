// A worker that never says that it is there.
import { parentPort } from "node:worker_threads";

parentPort.on("message", () => {});

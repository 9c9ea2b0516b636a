// A worker that ends when it is told to do something.
import { parentPort } from "node:worker_threads";

parentPort.once("message", () => process.exit(3));

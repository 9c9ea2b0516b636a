// A worker that hears what it is told and says nothing.
import { parentPort } from "node:worker_threads";

parentPort.on("message", () => {});

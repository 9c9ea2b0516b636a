// lowbit serve: the OpenAI protocol over HTTP.
import type { Server } from "srvx";
import { serve } from "srvx/node";
import type { Options } from "../arguments.ts";
import { define } from "../command.ts";
import { Failure } from "../errors.ts";
import { INTERRUPTED, interrupted } from "../interrupt.ts";
import { MODEL_OPTIONS, noteMemory, openModel, sourceOf } from "../model.ts";
import { dim, note, printLine } from "../terminal.ts";

const OPTIONS = {
  port: { type: "whole", least: 0, most: 65535, value: "N", help: "default 8080; 0: any that is free" },
  host: { type: "text", value: "NAME", help: "default 127.0.0.1, which only this machine reaches" },
  key: { type: "text", value: "KEY", help: "what clients must send (default: $LOWBIT_KEY, or none)" },
  name: { type: "text", value: "NAME", help: "what the model is called (default: its architecture)" },
  origin: {
    type: "text",
    value: "ORIGIN",
    many: true,
    help: "of pages that may call; * for all; several may be given",
  },
  template: { type: "text", value: "FILE", help: "a chat template (Jinja) in place of the model's" },
  ...MODEL_OPTIONS,
  quiet: { type: "flag", short: "q", help: "nothing on standard error but errors" },
} as const satisfies Options;

export const command = define({
  usage: "SRC [--port N] [--host NAME] [--key KEY]",
  about: `
Chat completions, completions, embeddings and models of the OpenAI protocol, with streams, under the address that it prints.
One answer is made at a time. Ctrl-C closes it.`,
  options: OPTIONS,
  async run(given, rest) {
    const source = sourceOf("serve", rest);
    const { port = 8080, host = "127.0.0.1", name, origin, quiet } = given;
    const key = given.key ?? process.env.LOWBIT_KEY;
    const { openai } = await import("../library.ts");
    const abort = interrupted();
    try {
      const { lb, model } = await openModel("serve", source, given, abort.signal);
      const fetch = openai(model, { ...(key && { key }), ...(name && { name }), ...(origin && { origins: origin }) });
      const server = serve({ fetch, port, hostname: host, silent: true, gracefulShutdown: false, manual: true });
      try {
        await listening(server);
      } catch (error) {
        throw new Failure(`serve: ${host}:${port}: cannot listen: ${(error as NodeJS.ErrnoException).code ?? error}`);
      }
      const address = (server.url ?? `http://${host}:${port}/`).replace(/\/$/, "");
      await printLine(`${address}/v1`);
      if (!quiet) note(dim(`${source}: ${noteMemory(lb)}; Ctrl-C closes`));
      if (!abort.signal.aborted) {
        await new Promise((resolve) => {
          abort.signal.addEventListener("abort", resolve, { once: true });
          process.once("SIGTERM", resolve);
        });
      }
      await server.close(true);
      return 0;
    } catch (error) {
      if (abort.signal.aborted) return INTERRUPTED;
      throw error;
    }
  },
});

/** An error of a port arrives as an event of Node's server, and as a rejection of one of the promises. */
function listening(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.node?.server?.once("error", reject);
    const begun = async (): Promise<void> => {
      await server.serve();
      await server.ready();
    };
    begun().then(resolve, reject);
  });
}

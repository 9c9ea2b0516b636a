// Serves files to a browser under given headers, and takes what the page posts to /result.
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".css": "text/css",
  ".wasm": "application/wasm",
};

/** What makes a page cross-origin isolated. */
export const ISOLATED = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
} as const;

export interface Site {
  readonly folder: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Pages and scripts that are in no file. */
  readonly pages?: Readonly<Record<string, string>>;
}

export interface Served {
  readonly address: string;
  /** What the page posts. */
  readonly result: Promise<string>;
  /** Paths that were asked for and found, without queries. */
  readonly requests: readonly string[];
  close(): void;
}

export async function serve({ folder, headers = {}, pages = {} }: Site): Promise<Served> {
  let done: (body: string) => void = () => undefined;
  const result = new Promise<string>((resolve) => {
    done = resolve;
  });
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname));
    if (path === "/result") {
      let body = "";
      request.setEncoding("utf8");
      request.on("data", (part: string) => {
        body += part;
      });
      request.on("end", () => {
        response.writeHead(204).end();
        done(body);
      });
      return;
    }
    const page = pages[path];
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    const found = page !== undefined || (existsSync(file) && statSync(file).isFile());
    if (!found) {
      response.writeHead(404, { ...headers, "content-type": "text/plain" }).end("not found");
      return;
    }
    requests.push(path);
    const type =
      TYPES[extname(page === undefined ? file : path)] ??
      (page === undefined ? "application/octet-stream" : TYPES[".html"]);
    response.writeHead(200, { ...headers, "content-type": type, "cache-control": "no-store" });
    if (page === undefined) createReadStream(file).pipe(response);
    else response.end(page);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    result,
    requests,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

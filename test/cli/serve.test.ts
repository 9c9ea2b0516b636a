// lowbit serve, over HTTP.
import { request } from "node:http";
import { equal, is, match, ok } from "../lib/assert.ts";
import { lowbit, MODEL, type Started, start } from "../lib/command-line.ts";
import { suite } from "../lib/suite.ts";

const t = suite("serve");
let server: Started;
let base: string;
t.before(async () => {
  server = start(["serve", MODEL, "--port", "0", "--key", "secret", "--name", "tiny"]);
  base = (await server.until(/^(http:\/\/127\.0\.0\.1:\d+\/v1)\n/))[1] as string;
});
t.after(() => {
  server.child.kill("SIGKILL");
});

const headers = { authorization: "Bearer secret", "content-type": "application/json" };
const complete = (body: object, signal?: AbortSignal): Promise<Response> =>
  fetch(`${base}/completions`, { method: "POST", headers, body: JSON.stringify(body), ...(signal && { signal }) });

t("answers, streams, and asks for the key", async () => {
  is((await fetch(`${base}/models`)).status, 401);
  const models = (await (await fetch(`${base}/models`, { headers })).json()) as { data: { id: string }[] };
  equal(
    models.data.map(({ id }) => id),
    ["tiny"],
  );
  const whole = await complete({ prompt: "To be, or not", max_tokens: 12, temperature: 0 });
  const { choices } = (await whole.json()) as { choices: { text: string }[] };
  const said = await lowbit(["run", MODEL, "-p", "To be, or not", "-n", "12", "-q"]);
  is(`${choices[0]?.text}\n`, said.stdout);
  const stream = await (
    await complete({ prompt: "To be, or not", max_tokens: 12, temperature: 0, stream: true })
  ).text();
  const pieces = [...stream.matchAll(/^data: (\{.*\})$/gm)].map(
    ([, json]) => (JSON.parse(json as string) as { choices: { text?: string }[] }).choices[0]?.text ?? "",
  );
  is(pieces.join(""), choices[0]?.text);
  match(stream, /data: \[DONE\]\n\n$/);
});

t("a client that leaves stops the work", async () => {
  const abort = new AbortController();
  const response = await complete({ prompt: "To be", max_tokens: 480, stream: true }, abort.signal);
  await response.body?.getReader().read();
  abort.abort();
  await new Promise<void>((resolve) => {
    const url = new URL(`${base}/completions`);
    const early = request(url, { method: "POST", headers: { ...headers, "content-length": "1000" } });
    early.on("error", () => resolve());
    early.write("{");
    setTimeout(() => early.destroy(), 50);
  });
  const after = await complete({ prompt: "To be, or not", max_tokens: 2 });
  is(after.status, 200);
});

t("a port in use is one sentence", async () => {
  const { port } = new URL(base);
  const { status, stdout, stderr } = await lowbit(["serve", MODEL, "--port", port]);
  equal([status, stdout, stderr], [1, "", `lowbit: serve: 127.0.0.1:${port}: cannot listen: EADDRINUSE\n`]);
});

t("Ctrl-C closes, in the middle of an answer too", async () => {
  const open = complete({ prompt: "To be", max_tokens: 480, stream: true }).then((response) => response.text());
  open.catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 100));
  server.child.kill("SIGINT");
  const { status, stdout, stderr } = await server.ended;
  equal([status, stdout], [0, `${base}\n`]);
  match(stderr, /Ctrl-C closes\n$/);
  ok(
    await fetch(`${base}/models`).then(
      () => false,
      () => true,
    ),
  );
});

// A page: posts the report, or why there is none, to where it came from.
async function report(): Promise<unknown> {
  const { conform, conformBlocked } = await import("../conformance.ts");
  if (location.search === "?blocked") return { failures: await conformBlocked() };
  const golden = await import("../golden.json", { with: { type: "json" } });
  return { ...(await conform(golden.default)), isolated: crossOriginIsolated };
}

const result = await report().catch((error: unknown) => ({ failures: [`${error}\n${(error as Error).stack}`] }));
await fetch("/result", { method: "POST", body: JSON.stringify(result) });

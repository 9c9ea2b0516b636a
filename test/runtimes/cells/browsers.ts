// Pages without a bundler: an import map, and the files of the package as they are.
import { createHash } from "node:crypto";
import { type Browser, chromium, firefox, visit, webkit } from "../browser.ts";
import { type Cell, checkReport } from "../cell.ts";
import type { Report } from "../conformance.ts";
import { importMap } from "../project.ts";
import { ISOLATED } from "../server.ts";

/** How a page is served. */
const modes = {
  isolated: { name: "isolated", headers: ISOLATED, threads: true },
  plain: { name: "not isolated", headers: {}, threads: false },
  strict: {
    name: "strict policy with 'wasm-unsafe-eval'",
    headers: ISOLATED,
    threads: true,
    policy: "'wasm-unsafe-eval'",
  },
  blocked: { name: "strict policy without it", headers: {}, threads: false, policy: "" },
} as const;

type Mode = (typeof modes)[keyof typeof modes];

function browserCell(
  browser: Browser,
  mode: Mode,
  variantOf: (version: string) => "relaxed" | "simd" = () => "relaxed",
  threads = mode.threads,
): Cell {
  return {
    name: `${browser.name}, ${mode.name}`,
    table: "runtimes",
    seconds: 240,
    async run(context) {
      const map = importMap(context.project);
      const script = `<script type="importmap">${map}</script>`;
      const html = `<!doctype html><title>lowbit</title>${script}<script type="module" src="/entries/page.js"></script>`;
      const headers: Record<string, string> = { ...mode.headers };
      if ("policy" in mode) {
        const hash = createHash("sha256").update(map).digest("base64");
        const scripts = `script-src 'self' 'sha256-${hash}' ${mode.policy}`.trim();
        headers["content-security-policy"] = `default-src 'self'; ${scripts}; object-src 'none'; base-uri 'none'`;
      }
      const version = await browser.version();
      const site = { folder: context.project.folder, headers, pages: { "/page": html } };
      const { body } = await visit(browser, site, mode === modes.blocked ? "/page?blocked" : "/page", 220);
      const report = JSON.parse(body) as Partial<Report> & { isolated?: boolean };
      if (mode === modes.blocked) {
        if (report.failures?.length !== 0) throw new Error(String(report.failures));
        return { version, note: "UnsupportedRuntimeError, which names 'wasm-unsafe-eval'" };
      }
      const isolated = mode.headers === ISOLATED;
      if (report.isolated !== undefined && report.isolated !== isolated) {
        throw new Error(`crossOriginIsolated: expected ${isolated}, got ${report.isolated}`);
      }
      return { version, report: checkReport(report, { variant: variantOf(version), threads }, context) };
    },
  };
}

/** Debian has extended support releases: 140 was seen without relaxed SIMD, 153 with it. */
const firefoxVariant = (version: string): "relaxed" | "simd" =>
  Number.parseInt(version, 10) < 145 ? "simd" : "relaxed";

export const browserCells: readonly Cell[] = [
  ...Object.values(modes).map((mode) => browserCell(chromium, mode)),
  ...Object.values(modes).map((mode) => browserCell(firefox, mode, firefoxVariant)),
  // No relaxed SIMD, and no SharedArrayBuffer even where the page is isolated.
  browserCell(webkit, modes.isolated, () => "simd", false),
  browserCell(webkit, modes.plain, () => "simd"),
];

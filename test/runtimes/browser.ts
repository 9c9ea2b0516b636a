// Browsers without drivers: started at a page that posts its result, then ended.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { debian } from "./install.ts";
import { type Running, runWell, start, tail } from "./process.ts";
import { type Served, type Site, serve } from "./server.ts";

export interface Browser {
  readonly name: string;
  version(): Promise<string>;
  /** The command that opens an address, with a folder for what it writes. */
  command(address: string, profile: string): Promise<{ command: string; args: string[]; env?: Record<string, string> }>;
}

const chromiumPath = () => debian(["chromium"], ["chromium"]);
const firefoxPath = () => debian(["firefox-esr"], ["firefox-esr"]);
const MINI = `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu/webkit2gtk-4.1/MiniBrowser`;
const webkitPath = () => debian([MINI, "xvfb-run", "xauth"], ["libwebkit2gtk-4.1-0", "xvfb", "xauth"]);

async function numberOf(command: string, args: string[]): Promise<string> {
  return /\d+(\.\d+)+/.exec(await runWell(command, args))?.[0] ?? "unknown";
}

// No update checks, no first-run pages: nothing is asked of the network.
const FIREFOX_PREFERENCES = {
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "dom.max_script_run_time": 0,
  "extensions.update.enabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "http://127.0.0.1:1",
  "toolkit.telemetry.reportingpolicy.firstRun": false,
} as const;

export const chromium: Browser = {
  name: "Chromium",
  version: async () => numberOf(await chromiumPath(), ["--version"]),
  async command(address, profile) {
    const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"];
    const args = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", ...quiet];
    return { command: await chromiumPath(), args: [...args, `--user-data-dir=${profile}`, address] };
  },
};

export const firefox: Browser = {
  name: "Firefox",
  version: async () => numberOf(await firefoxPath(), ["--version"]),
  async command(address, profile) {
    const lines = Object.entries(FIREFOX_PREFERENCES).map(
      ([key, value]) => `user_pref("${key}", ${JSON.stringify(value)});`,
    );
    writeFileSync(join(profile, "user.js"), `${lines.join("\n")}\n`);
    const args = ["--headless", "--no-remote", "--profile", profile, address];
    return { command: await firefoxPath(), args, env: { HOME: profile } };
  },
};

export const webkit: Browser = {
  name: "WebKitGTK",
  async version() {
    await webkitPath();
    const version = await runWell("dpkg-query", ["-W", "-f", "$" + "{Version}", "libwebkit2gtk-4.1-0"]);
    return version.split("-")[0] as string;
  },
  async command(address, profile) {
    const mini = await webkitPath();
    // Its sandbox cannot start as root or in a container; the pages are ours.
    const env = {
      HOME: profile,
      TMPDIR: profile,
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
      LIBGL_ALWAYS_SOFTWARE: "1",
    };
    return { command: "xvfb-run", args: ["-a", mini, address], env };
  },
};

/** Opens a page of the site and waits for what it posts. */
export async function visit(
  browser: Browser,
  site: Site,
  page: string,
  seconds = 120,
): Promise<{ body: string; requests: Served["requests"] }> {
  const profile = mkdtempSync(join(tmpdir(), "lowbit-browser-"));
  const served = await serve(site);
  let running: Running | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const { command, args, env } = await browser.command(served.address + page, profile);
    running = start(command, args, { ...(env && { env }) });
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const seen = `${served.requests.length} requests, the last for ${served.requests.at(-1)}`;
        reject(new Error(`no result after ${seconds} s; ${seen}\n${tail(running?.output() ?? "", 600)}`));
      }, seconds * 1000);
    });
    const body = await Promise.race([served.result, late]);
    return { body, requests: served.requests };
  } finally {
    clearTimeout(timer);
    await running?.stop();
    served.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

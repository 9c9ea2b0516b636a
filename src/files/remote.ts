// Files of servers, by ranges, in one stream that goes on where reads go on. What a server may answer, and what is made of it:
// RFC 9110, sections 8.8 (validators), 13.1.5 (If-Range), 14 (ranges).
import { FileError } from "./errors.ts";
import { reasonOf, type SourceOptions } from "./open-file.ts";
import { plain } from "./text.ts";

/** How a file is told from another one at its address. */
export interface Identity {
  /** Undefined: no header says it, and only the end of the body does. */
  readonly size: number | undefined;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
}

/** A body that is being read: `at` is the place of its next byte. */
interface Body {
  at: number;
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** Of a chunk, what was not taken. */
  rest: Uint8Array;
}

/** Bytes that are read and dropped rather than asked for anew. */
const SKIP = 1 << 18;
const REDIRECTS = 10;
const FIRST_PAUSE = 200;
const LONGEST_PAUSE = 8000;

/** A download that may be tried again. */
class Interrupted extends Error {}
/** The file at the address is another one by now. */
class Changed extends Error {}
/** As `Changed`, before anything of the old file was given away: from here on `identity` is that of the new one. */
export class Renewed extends Error {}

/** What arrived of a read, also when it fails. */
export interface Arrived {
  bytes: Uint8Array;
}

export class Remote {
  readonly #url: URL;
  readonly #fetch: typeof fetch;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #retries: number;
  #identity: Identity | undefined;
  #body: Body | undefined;
  #controller = new AbortController();
  /** Where the address led last. */
  #target: { url: URL; headers: Headers };
  #followed = false;
  #ranges = true;
  /** Whether bytes of the file were handed to whoever reads it: another file cannot take its place then. */
  given = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(url: URL, { fetch = globalThis.fetch, headers = {}, retries = 5 }: SourceOptions) {
    this.#url = url;
    this.#fetch = fetch;
    this.#headers = headers;
    this.#retries = retries;
    this.#target = { url, headers: new Headers(headers) };
  }

  async open(signal?: AbortSignal): Promise<void> {
    await this.#persist(signal, () => this.#request(0, signal));
  }

  get identity(): Identity {
    return this.#identity as Identity;
  }

  /** The address, without a query: that may hold a signature. */
  get name(): string {
    return this.#url.href.split(/[?#]/)[0] as string;
  }

  /** Reads take turns: there is one stream. */
  read(begin: number, end: number, signal?: AbortSignal, arrived?: Arrived): Promise<Uint8Array> {
    const result = this.#turn.then(() => this.#read(begin, end, signal, arrived));
    this.#turn = result.catch(() => {});
    return result;
  }

  async readToEnd(signal?: AbortSignal): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        if (this.#body === undefined || this.#body.at !== length) {
          // A body without a length cannot be gone on with.
          chunks.length = 0;
          length = 0;
          await this.#request(0, signal);
        }
        for (let chunk = await this.#next(signal); chunk !== undefined; chunk = await this.#next(signal)) {
          chunks.push(chunk);
          length += chunk.length;
        }
        break;
      } catch (error) {
        this.#drop();
        signal?.throwIfAborted();
        if (!(error instanceof Interrupted) || attempt >= this.#retries) throw this.#failure(error);
        await pause(attempt, signal);
      }
    }
    this.#drop();
    const all = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  async close(): Promise<void> {
    this.#drop();
  }

  async #read(begin: number, end: number, signal: AbortSignal | undefined, arrived?: Arrived): Promise<Uint8Array> {
    for (let changes = 0; ; changes++) {
      const out = new Uint8Array(end - begin);
      let at = 0;
      try {
        await this.#persist(signal, async () => {
          while (at < out.length) {
            const body = this.#body;
            const place = begin + at;
            if (body === undefined || body.at > place || (this.#ranges && place - body.at > SKIP)) {
              this.#drop();
              await this.#request(place, signal);
            }
            const got = await this.#take(place, out.subarray(at), signal);
            if (got === 0)
              throw new Interrupted(`it ended at byte ${this.#body?.at ?? place} of ${this.#identity?.size}`);
            at += got;
            // What brings bytes may be tried again as often as it takes.
            if (got > 0) this.#failures = 0;
          }
        });
        return out;
      } catch (error) {
        this.#drop();
        if (arrived) arrived.bytes = out.subarray(0, at);
        if (error instanceof Changed && !this.given && changes < 3 && (await this.#renew(begin, signal))) {
          if (arrived) throw new Renewed();
          continue;
        }
        throw this.#failure(error);
      }
    }
  }

  /** Takes what is there now for the file, if it has as many bytes. */
  async #renew(begin: number, signal?: AbortSignal): Promise<boolean> {
    const size = this.#identity?.size;
    this.#identity = undefined;
    await this.#persist(signal, () => this.#request(begin, signal));
    return this.identity.size === size;
  }

  #failures = 0;

  async #persist(signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
    this.#failures = 0;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Interrupted)) throw error instanceof Changed ? error : this.#failure(error);
        this.#drop();
        if (this.#failures >= this.#retries) throw this.#failure(error);
        await pause(this.#failures++, signal);
      }
    }
  }

  #failure(error: unknown): unknown {
    if (error instanceof Changed) {
      return new FileError(`${this.#name}: the file changed on the server while it was read: ${error.message}`);
    }
    if (error instanceof Interrupted) return new FileError(`${this.#name}: the download failed: ${error.message}`);
    return error;
  }

  get #name(): string {
    return plain(this.name);
  }

  #drop(): void {
    this.#body?.reader.cancel().catch(() => {});
    this.#body = undefined;
    this.#controller.abort();
  }

  /** Copies bytes from `place` on; 0 at the end of the body. */
  async #take(place: number, out: Uint8Array, signal?: AbortSignal): Promise<number> {
    for (;;) {
      const chunk = await this.#next(signal);
      if (chunk === undefined) return 0;
      const body = this.#body as Body;
      const skipped = Math.min(chunk.length, place - (body.at - chunk.length));
      if (skipped === chunk.length) continue;
      const useful = chunk.subarray(skipped);
      const taken = Math.min(useful.length, out.length);
      out.set(useful.subarray(0, taken));
      body.rest = useful.subarray(taken);
      body.at -= body.rest.length;
      return taken;
    }
  }

  async #next(signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const body = this.#body as Body;
    if (body.rest.length > 0) {
      const { rest } = body;
      body.rest = rest.subarray(rest.length);
      body.at += rest.length;
      return rest;
    }
    const stop = (): void => this.#controller.abort(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const { done, value } = await body.reader.read();
      if (done) return undefined;
      body.at += value.length;
      return value;
    } catch (error) {
      signal?.throwIfAborted();
      throw new Interrupted(reasonOf(error));
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Opens a body that has byte `at`, or one before it. */
  async #request(at: number, signal?: AbortSignal): Promise<void> {
    const response = await this.#send(at, this.#ranges, signal);
    const { status, headers } = response;
    const refuse = async (error: Error): Promise<never> => {
      await response.body?.cancel().catch(() => {});
      throw error;
    };
    if (status === 206) {
      const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get("content-range") ?? "");
      const encoded = isEncoded(headers);
      if (range === null || encoded) {
        // Not to be read by a page, or a part of a compressed body: no part of the file. The whole is asked for.
        await response.body?.cancel().catch(() => {});
        if (!this.#ranges) throw new FileError(`${this.#name}: a part of the file came that was not asked for`);
        this.#ranges = false;
        return this.#request(at, signal);
      }
      const [first, last, size] = [Number(range[1]), Number(range[2]), Number(range[3])];
      const change = this.#adopt({ size, ...validatorsOf(headers) });
      if (change) return refuse(change);
      if (first > at || last < at)
        return refuse(new Interrupted(`bytes from ${at} were asked for, ${first} to ${last} came`));
      return this.#start(response, first);
    }
    if (status === 200) {
      // Asked for a part, the whole came: there are no ranges, or the file is another one.
      const length = headers.get("content-length");
      const size = length === null || isEncoded(headers) ? this.#identity?.size : Number(length);
      const change = this.#adopt({ size, ...validatorsOf(headers) });
      if (change) return refuse(change);
      if (at > 0) this.#ranges = false;
      return this.#start(response, 0);
    }
    if (status === 416 && this.#identity === undefined && /\/0$/.test(headers.get("content-range") ?? "")) {
      this.#identity = { size: 0, ...validatorsOf(headers) };
      await response.body?.cancel().catch(() => {});
      return;
    }
    if (status === 416 || status === 412) return refuse(new Changed(`it has no byte ${at} any more`));
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      return refuse(new Interrupted(`status ${status}`));
    }
    const hint = status === 401 || status === 403 ? ": it wants a token, or another one" : "";
    return refuse(new FileError(`${this.#name}: expected a file, got status ${status}${hint}`));
  }

  #start(response: Response, at: number): void {
    const { body } = response;
    if (body === null) throw new Interrupted("there is no body");
    this.#body = { at, reader: body.getReader(), rest: new Uint8Array(0) };
  }

  /** The first answer says which file it is; what later ones say otherwise is returned. */
  #adopt(now: Identity): Changed | undefined {
    const then = this.#identity;
    if (then === undefined) {
      this.#identity = now;
      return undefined;
    }
    for (const key of ["size", "etag", "modified"] as const) {
      if (then[key] === undefined || now[key] === undefined || then[key] === now[key]) continue;
      return new Changed(`${key} was ${plain(String(then[key]))}, is ${plain(String(now[key]))}`);
    }
    return undefined;
  }

  async #send(at: number, ranged: boolean, signal?: AbortSignal): Promise<Response> {
    const response = await this.#follow(at, ranged, signal);
    const { status } = response;
    // Where an address leads may be good for a while only.
    const expired = status === 401 || status === 403 || status === 404 || status === 410;
    if (!expired || this.#target.url.href === this.#url.href) return response;
    await response.body?.cancel().catch(() => {});
    this.#target = { url: this.#url, headers: new Headers(this.#headers) };
    return this.#follow(at, ranged, signal);
  }

  async #follow(at: number, ranged: boolean, signal?: AbortSignal): Promise<Response> {
    let { url, headers } = this.#target;
    for (let i = 0; i <= REDIRECTS; i++) {
      const response = await this.#once(url, headers, at, ranged, signal);
      if (response.type === "opaqueredirect") {
        // A browser does not show where to; it leaves the token behind and refuses insecure addresses itself.
        this.#followed = true;
        return this.#once(url, headers, at, ranged, signal);
      }
      const location = response.status >= 300 && response.status < 400 ? response.headers.get("location") : null;
      if (location === null) {
        this.#target = { url, headers };
        return response;
      }
      await response.body?.cancel().catch(() => {});
      const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
      if (
        next === undefined ||
        (url.protocol === "https:" && next.protocol !== "https:") ||
        !/^https?:$/.test(next.protocol)
      ) {
        throw new FileError(`${this.#name}: the server redirects to an address that is not secure: ${plain(location)}`);
      }
      if (next.origin !== url.origin) {
        headers = new Headers(headers);
        for (const secret of ["authorization", "cookie", "proxy-authorization"]) headers.delete(secret);
      }
      url = next;
    }
    throw new FileError(`${this.#name}: the server redirects more than ${REDIRECTS} times`);
  }

  async #once(url: URL, given: Headers, at: number, ranged: boolean, signal?: AbortSignal): Promise<Response> {
    signal?.throwIfAborted();
    const headers = new Headers(given);
    if (ranged) {
      headers.set("range", `bytes=${at}-`);
      const validator = this.#ifRange(url);
      if (validator !== undefined) headers.set("if-range", validator);
    }
    headers.set("accept-encoding", "identity");
    this.#controller = new AbortController();
    const stop = (): void => this.#controller.abort(signal?.reason);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      return await this.#fetch.call(undefined, url, {
        headers,
        redirect: this.#followed ? "follow" : "manual",
        signal: this.#controller.signal,
      });
    } catch (error) {
      signal?.throwIfAborted();
      const { cause } = error as { cause?: unknown };
      throw new Interrupted(reasonOf(cause ?? error));
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  // Weak validators must not be sent; another origin's server would be asked first whether the header may be, and few say
  // yes: there, as everywhere, validators are compared.
  #ifRange(url: URL): string | undefined {
    const page = (globalThis as { location?: { origin?: string } }).location?.origin;
    if (this.#identity === undefined || (page !== undefined && page !== url.origin)) return undefined;
    const { etag, modified } = this.#identity;
    return etag === undefined || etag.startsWith("W/") ? modified : etag;
  }
}

function isEncoded(headers: Headers): boolean {
  const encoding = headers.get("content-encoding");
  return encoding !== null && encoding.trim().toLowerCase() !== "identity" && encoding !== "";
}

function validatorsOf(headers: Headers): Pick<Identity, "etag" | "modified"> {
  return { etag: headers.get("etag") ?? undefined, modified: headers.get("last-modified") ?? undefined };
}

/** Twice as long after each attempt in a row, and never the same for two clients. */
function pause(attempt: number, signal?: AbortSignal): Promise<void> {
  const time = Math.min(FIRST_PAUSE * 2 ** attempt, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, time);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/// <reference lib="esnext.disposable" />

/** One request: what was received, and what was sent. docs/control.md describes each key. */
export interface FlagRecord {
  listener: string;
  run: string;
  method: string;
  path: string;
  query: string | null;
  headers: [name: string, value: string][];
  body: { bytes: number; sha256: string } | null;
  protocol: "HTTP/1.0" | "HTTP/1.1" | "HTTP/2";
  connection: number;
  number: number;
  attempt: number;
  attempt_from: "none" | "header" | "counted" | "fixed" | "redirect";
  hop: number;
  plan: { delay_ms: number; rules: string[]; [key: string]: unknown };
  sent: { status: number | null; bytes: number; end: "whole" | "reset" | "closed" | "garbage" | "left" };
  late_ms: number | null;
  received_unix_ms: number;
  took_ms: number;
}

export interface Wish {
  /** Waits until there are as many. */
  count?: number;
  /** How long to wait at most, in milliseconds: 5000, and a minute at most. */
  wait?: number;
  /** Waits until no response is under way, too: true. */
  settled?: boolean;
}

/** A part of a server: its own scenario, attempts and records. Others do not notice it. */
export interface Run {
  readonly name: string;
  /** The base of its flags. The client under test needs to know nothing else. */
  readonly url: string;
  /** For a client that fetches from `server.flagsUrl` and names its run in a header instead. */
  readonly headers: { "flag-run": string };
  imageUrl(cc: string): string;
  /** What goes wrong from now on: a scenario in TOML. It ends by itself after a while: `10m`. */
  scenario(toml: string, options?: { lasts?: string }): Promise<void>;
  /** What the server received and sent. Rejects if the wish is not met in time. */
  records(wish?: Wish): Promise<FlagRecord[]>;
  /** The status of each response. */
  statuses(wish?: Wish): Promise<(number | null)[]>;
  /** Forgets its scenario, its attempts and its records. */
  forget(): Promise<void>;
}

export interface FlagServer extends AsyncDisposable {
  /** The root of the first listener. */
  readonly url: string;
  /** The root of each listener by its name. */
  readonly urls: Readonly<Record<string, string>>;
  /** The base of the flags of the first listener. */
  readonly flagsUrl: string;
  readonly controlUrl: string;
  /** A run; at most 128 ASCII characters. */
  run(name: string): Run;
  /** Stops it. Requests in flight may finish. */
  stop(): Promise<void>;
}

export interface Options {
  /** Options of flag-server: `["--profile", "local"]`, which has no faults. */
  args?: string[];
  /** A scenario in TOML for all requests to the first listener. */
  scenario?: string;
}

/** Starts a flag-server on free ports. It ends with this process, however that dies. */
export function startFlagServer(options?: Options): Promise<FlagServer>;

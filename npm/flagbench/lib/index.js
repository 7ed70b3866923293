// A flag-server of its own, and runs on it: what a test says to the server, and asks it.
//
// The server ends with this process, however that dies: it holds the other end of a pipe.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { find } from "./find.js";

/** A part of a server: its own scenario, attempts and records. Others do not notice it. */
class Run {
  #server;

  constructor(server, name) {
    this.#server = server;
    this.name = name;
    this.url = `${server.url}/run/${encodeURIComponent(name)}/flags`;
    this.headers = { "flag-run": name };
  }

  imageUrl(cc) {
    return `${this.url}/${cc.toLowerCase()}/${cc.toLowerCase()}.gif`;
  }

  async scenario(toml, { lasts = "10m" } = {}) {
    await this.#ask("PUT", `/scenario?for=${encodeURIComponent(lasts)}`, toml);
  }

  async records({ count = 0, wait = 5000, settled = true } = {}) {
    const milliseconds = Math.min(Math.max(Math.round(wait), 0), 60_000);
    const query = `count=${count}&settled=${settled}&wait=${(milliseconds / 1000).toFixed(3).replace("60.000", "60")}s`;
    const { complete, records } = await (await this.#ask("GET", `/records?${query}`)).json();
    if (complete) return records;
    throw new Error(`${records.length} records after ${wait} ms, or requests under way; waited for ${count}`);
  }

  async statuses(wish) {
    return (await this.records(wish)).map((record) => record.sent.status);
  }

  async forget() {
    await this.#ask("DELETE", "");
  }

  #ask(method, path, body) {
    return ask(this.#server.controlUrl, method, `/api/runs/${encodeURIComponent(this.name)}${path}`, body);
  }
}

/** A server that was started here. */
class FlagServer {
  #child;

  constructor(child, urls, controlUrl) {
    this.#child = child;
    this.urls = urls;
    this.url = Object.values(urls)[0];
    this.flagsUrl = `${this.url}/flags`;
    this.controlUrl = controlUrl;
  }

  run(name) {
    return new Run(this, name);
  }

  /** Stops it. Requests in flight may finish. */
  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.ref();
    this.#child.kill("SIGTERM");
    await exited;
  }

  async [Symbol.asyncDispose]() {
    await this.stop();
  }
}

export async function startFlagServer({ args = ["--profile", "local"], scenario } = {}) {
  const own = ["--port", "0", "--control", "127.0.0.1:0", "--until-stdin-closes"];
  // Those of the environment are options too: one that somebody has set for a server of their own breaks every test.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FLAG_SERVER_")));
  const child = spawn(find("flag-server"), [...args, ...own], { env, stdio: ["pipe", "pipe", "pipe"] });
  let message = "";
  child.stderr.setEncoding("utf8").on("data", (text) => (message = (message + text).slice(-10_000)));
  const exited = Promise.race([once(child, "close"), once(child, "error").then(([error]) => (message = error.message))]);
  const urls = {};
  let controlUrl;
  for await (const line of createInterface({ input: child.stdout })) {
    const [name, url] = line.split(" ");
    if (name === "control") {
      controlUrl = url;
      break;
    }
    urls[name] = url;
  }
  if (controlUrl === undefined) {
    await exited;
    throw new Error(message.trim() || `flag-server ended with ${child.exitCode ?? child.signalCode}`);
  }
  // A test that forgets to stop it ends all the same.
  for (const held of [child, child.stdin, child.stdout, child.stderr]) held.unref();
  child.stdin.on("error", () => {});
  const server = new FlagServer(child, urls, controlUrl);
  if (scenario !== undefined) {
    const [first] = Object.keys(urls);
    await ask(controlUrl, "PUT", `/api/listeners/${encodeURIComponent(first)}/scenario`, scenario);
  }
  return server;
}

async function ask(control, method, path, body) {
  const response = await fetch(control + path, { method, body });
  if (response.ok) return response;
  const problem = await response.json();
  const lines = (problem.errors ?? []).map(({ line, key, message }) => `line ${line}: ${key}: ${message}`);
  throw new Error([problem.detail, ...lines].join("\n"));
}

// One flag-server for this file. Each test has a run on it, with a scenario and records of its own.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

const retry = await readFile(new URL("../retry.toml", import.meta.url), "utf8");
let server;
let exited;
let root;
let control;

before(async () => {
  const options = ["--profile", "local", "--port", "0", "--control", "127.0.0.1:0"];
  server = spawn("flag-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  exited = once(server, "exit");
  // One line for each listener, NAME URL, as soon as all of them accept. The control plane's is the last.
  for await (const line of createInterface({ input: server.stdout })) {
    const [name, url] = line.split(" ");
    if (name === "control") {
      control = url;
      break;
    }
    root = url;
  }
  assert.ok(control, "flag-server did not start; see its message above");
});

after(async () => {
  server.kill("SIGTERM"); // requests in flight may finish
  await exited;
});

/** What one test says to the server, and asks it. No other test notices. */
class Flags {
  constructor(run) {
    this.run = encodeURIComponent(run);
    this.url = `${root}/run/${this.run}/flags`;
  }

  async #ask(method, path, body) {
    const response = await fetch(`${control}/api/runs/${this.run}${path}`, { method, body });
    assert.ok(response.ok, await response.clone().text());
    return response;
  }

  /** What goes wrong from now on. It ends by itself, should the test die. */
  scenario(toml) {
    return this.#ask("PUT", "/scenario?for=1m", toml);
  }

  /** What the server received and sent, as soon as these requests are over. */
  async records(count) {
    const found = await (await this.#ask("GET", `/records?count=${count}&settled=true&wait=5s`)).json();
    assert.ok(found.complete, JSON.stringify(found.records));
    return found.records;
  }
}

/** The code under test. */
async function download(url, { attempts, ms = 0 }) {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const response = await fetch(url, { headers: { "user-agent": "downloads/1" } });
    const body = Buffer.from(await response.arrayBuffer());
    if (response.ok) return body;
    if (attempt < attempts) await pause(ms);
  }
  throw new Error("gave up");
}

const statuses = (records) => records.map((record) => record.sent.status);

describe("a download", { concurrency: true }, () => {
  for (const cc of ["br", "jp", "us"]) {
    test(`of ${cc} survives two failures`, async (t) => {
      const flags = new Flags(t.name);
      await flags.scenario(retry);
      const image = await download(`${flags.url}/${cc}/${cc}.gif`, { attempts: 3, ms: 100 });
      assert.equal(image.toString("latin1", 0, 6), "GIF89a");
      const records = await flags.records(3);
      assert.deepEqual(statuses(records), [503, 503, 200]);
      const received = records.map((record) => record.received_unix_ms);
      assert.ok(received[1] - received[0] >= 99 && received[2] - received[1] >= 99, "it paused"); // timers of Node round
      for (const { headers } of records) assert.equal(Object.fromEntries(headers)["user-agent"], "downloads/1");
    });

    test(`of ${cc} gives up after its last attempt`, async (t) => {
      const flags = new Flags(t.name);
      await flags.scenario(retry);
      await assert.rejects(download(`${flags.url}/${cc}/${cc}.gif`, { attempts: 2 }), { message: "gave up" });
      assert.deepEqual(statuses(await flags.records(2)), [503, 503]);
    });
  }
});

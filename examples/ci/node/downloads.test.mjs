// One flag-server for this file, and a run of its own for each test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const scenario = fileURLToPath(new URL("../retry.toml", import.meta.url));
let server;
let exited;
let flags;

before(async () => {
  const options = ["--scenario", scenario, "--port", "0"];
  server = spawn("flag-server", options, { stdio: ["ignore", "pipe", "inherit"] });
  exited = once(server, "exit");
  // One line for each listener, NAME URL, as soon as all of them accept. This server has one.
  for await (const line of createInterface({ input: server.stdout })) {
    flags = `${line.split(" ")[1]}/flags`;
    break;
  }
  assert.ok(flags, "flag-server did not start; see its message above");
});

after(async () => {
  server.kill("SIGTERM"); // requests in flight may finish
  await exited;
});

/** The code under test: an image, and every status on the way to it. */
async function download(url, { run, attempts }) {
  const statuses = [];
  while (statuses.length < attempts) {
    const response = await fetch(url, { headers: { "flag-run": run } });
    const body = Buffer.from(await response.arrayBuffer());
    statuses.push(response.status);
    if (response.ok) return { image: body, statuses };
  }
  throw Object.assign(new Error("gave up"), { statuses });
}

describe("a download", { concurrency: true }, () => {
  for (const cc of ["br", "jp", "us"]) {
    test(`of ${cc} survives two failures`, async (t) => {
      const { image, statuses } = await download(`${flags}/${cc}/${cc}.gif`, { run: t.name, attempts: 3 });
      assert.equal(image.toString("latin1", 0, 6), "GIF89a");
      assert.deepEqual(statuses, [503, 503, 200]);
    });

    test(`of ${cc} gives up after its last attempt`, async (t) => {
      const hasty = download(`${flags}/${cc}/${cc}.gif`, { run: t.name, attempts: 2 });
      await assert.rejects(hasty, { message: "gave up", statuses: [503, 503] });
    });
  }
});

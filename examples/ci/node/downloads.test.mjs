// A client that retries, and what the server saw of it.
//
// npm install --save-dev flagbench

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startFlagServer } from "flagbench";

const retry = await readFile(new URL("../retry.toml", import.meta.url), "utf8");
let server;
before(async () => (server = await startFlagServer()));
after(() => server?.stop());

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

describe("a download", { concurrency: true }, () => {
  for (const cc of ["br", "jp", "us"]) {
    test(`of ${cc} survives two failures`, async (t) => {
      const flags = server.run(t.name);
      await flags.scenario(retry);
      const image = await download(flags.imageUrl(cc), { attempts: 3, ms: 100 });
      assert.equal(image.toString("latin1", 0, 6), "GIF89a");
      const records = await flags.records({ count: 3 });
      assert.deepEqual(records.map((record) => record.sent.status), [503, 503, 200]);
      for (const { headers } of records) assert.equal(Object.fromEntries(headers)["user-agent"], "downloads/1");
      const [first, second, third] = records.map((record) => record.received_unix_ms);
      assert.ok(second - first >= 99 && third - second >= 99, "it paused"); // a timer may be a millisecond early
    });

    test(`of ${cc} gives up after its last attempt`, async (t) => {
      const flags = server.run(t.name);
      await flags.scenario(retry);
      await assert.rejects(download(flags.imageUrl(cc), { attempts: 2 }), { message: "gave up" });
      assert.deepEqual(await flags.statuses({ count: 2 }), [503, 503]);
    });
  }
});

// Tests of a client that retries, each with a scenario of its own on one server.
// usage: node control.mjs FLAGS CONTROL TESTS AT_ONCE
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

const [flags, control, tests, atOnce] = process.argv.slice(2);

const scenario = (delay) => ({
  rule: [
    { name: "busy", fault: "status", status: 503, attempts: { first: 2 } },
    { name: "late", fault: "latency", distribution: { fixed: `${delay}ms` }, attempts: { from: 3 } },
  ],
});

const PAUSE = 10; // milliseconds

/** The client under test. */
async function download(name) {
  for (let attempt = 1; attempt <= 5; attempt++) {
    const headers = { "flag-run": name, "user-agent": `attempt ${attempt}` };
    const answer = await fetch(`${flags}/flags/br/br.gif`, { headers });
    await answer.arrayBuffer();
    if (answer.status === 200) return;
    await pause(PAUSE);
  }
}

async function oneTest(number) {
  const name = `node ${number}`;
  const delay = 20 + (number % 30);
  const own = `${control}/api/runs/${encodeURIComponent(name)}`;
  const put = await fetch(`${own}/scenario?for=1m`, {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(scenario(delay)),
  });
  assert.equal(put.status, 204);
  await download(name);
  const found = await (await fetch(`${own}/records?count=3&wait=60s&settled=true`)).json();
  assert.ok(found.complete);
  const seen = found.records.map((record) => [record.run, record.attempt, record.sent.status, record.plan.rules]);
  assert.deepEqual(seen, [
    [name, 1, 503, ["busy"]],
    [name, 2, 503, ["busy"]],
    [name, 3, 200, ["late"]],
  ]);
  assert.ok(found.records[2].took_ms >= delay);
  found.records.forEach((record, index) => {
    assert.equal(Object.fromEntries(record.headers)["user-agent"], `attempt ${index + 1}`);
    // A timer of Node may fire a millisecond early.
    if (index > 0) assert.ok(record.received_unix_ms - found.records[index - 1].received_unix_ms >= PAUSE - 1);
  });
  const deleted = await fetch(own, { method: "DELETE" });
  assert.equal(deleted.status, 204);
}

let next = 0;
async function worker() {
  while (next < Number(tests)) await oneTest(next++);
}
await Promise.all(Array.from({ length: Number(atOnce) }, worker));
console.log(`${tests} tests passed`);

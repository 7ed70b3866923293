// Tests of a client that retries, each with a scenario of its own on one server.
// usage: node control.mjs FLAGS CONTROL TESTS AT_ONCE
import assert from "node:assert/strict";

const [flags, control, tests, atOnce] = process.argv.slice(2);

const scenario = (delay) => ({
  rule: [
    { name: "busy", fault: "status", status: 503, attempts: { first: 2 } },
    { name: "late", fault: "latency", distribution: { fixed: `${delay}ms` }, attempts: { from: 3 } },
  ],
});

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
  for (let attempt = 0; attempt < 5; attempt++) {
    const answer = await fetch(`${flags}/flags/br/br.gif`, { headers: { "flag-run": name } });
    await answer.arrayBuffer();
    if (answer.status === 200) break;
  }
  const found = await (await fetch(`${own}/records?count=3&wait=60s&settled=true`)).json();
  assert.ok(found.complete);
  const seen = found.records.map((record) => [record.run, record.attempt, record.sent.status, record.plan.rules]);
  assert.deepEqual(seen, [
    [name, 1, 503, ["busy"]],
    [name, 2, 503, ["busy"]],
    [name, 3, 200, ["late"]],
  ]);
  assert.ok(found.records[2].took_ms >= delay);
  const deleted = await fetch(own, { method: "DELETE" });
  assert.equal(deleted.status, 204);
}

let next = 0;
async function worker() {
  while (next < Number(tests)) await oneTest(next++);
}
await Promise.all(Array.from({ length: Number(atOnce) }, worker));
console.log(`${tests} tests passed`);

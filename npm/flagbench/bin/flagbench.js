#!/usr/bin/env node
// flag-client, or with `server` as the first word, flag-server.
import { run } from "../lib/run.js";

const [first, ...rest] = process.argv.slice(2);
if (first === "server" || first === "client") run(`flag-${first}`, rest);
else run("flag-client", process.argv.slice(2));

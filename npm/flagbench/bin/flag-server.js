#!/usr/bin/env node
import { run } from "../lib/run.js";

run("flag-server", process.argv.slice(2));

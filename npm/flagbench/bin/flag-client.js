#!/usr/bin/env node
import { run } from "../lib/run.js";

run("flag-client", process.argv.slice(2));

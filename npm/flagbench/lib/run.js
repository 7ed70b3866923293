// What a shim does: it runs the program of its name, passes signals on, and ends as the program does.

import { spawn } from "node:child_process";
import { find } from "./find.js";

export function run(program, words) {
  let path;
  try {
    path = find(program);
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exit(1);
  }
  const child = spawn(path, words, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`error: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

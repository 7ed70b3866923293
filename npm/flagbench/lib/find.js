// Where the programs are.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The path of `flag-server` or `flag-client`: in the folder that FLAGBENCH_BIN names, or in the package of this platform. */
export function find(program) {
  const file = process.platform === "win32" ? `${program}.exe` : program;
  const named = process.env.FLAGBENCH_BIN;
  if (named) {
    const path = join(named, file);
    if (existsSync(path)) return path;
    throw new Error(`${program} is not in FLAGBENCH_BIN=${named}`);
  }
  const name = `@flagbench/${process.platform}-${process.arch}`;
  try {
    return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), "bin", file);
  } catch {
    throw new Error(
      `${program} is not installed: the package ${name} is missing. Install flagbench again without --omit=optional; ` +
        "if there is no such package, build the programs and set FLAGBENCH_BIN to their folder",
    );
  }
}

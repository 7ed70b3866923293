"""`python -m flagbench`, `uvx flagbench`: flag-client, or with `server` as the first word, flag-server."""

from __future__ import annotations

import os
import subprocess
import sys

from ._find import NotFound, find


def main() -> int:
    words = sys.argv[1:]
    programs = {"server": "flag-server", "client": "flag-client"}
    program = programs.get(words[0]) if words else None
    try:
        path = str(find(program or "flag-client"))
    except NotFound as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = [path, *(words[1:] if program else words)]
    if os.name == "nt":  # there, exec leaves the console to whoever waits for this process
        return subprocess.run(command, check=False).returncode
    os.execv(path, command)


if __name__ == "__main__":
    sys.exit(main())

"""Where the programs are."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path


class NotFound(RuntimeError):
    """There is no such program beside this package."""


def find(program: str) -> Path:
    """The path of `flag-server` or `flag-client`.

    The folder that FLAGBENCH_BIN names comes first, then where pip and its kin put scripts, and PATH last.
    """
    named = os.environ.get("FLAGBENCH_BIN")
    for folder in [Path(named)] if named else _script_folders():
        path = folder / (program + (sysconfig.get_config_var("EXE") or ""))
        if path.is_file():
            return path
    found = None if named else shutil.which(program)
    if found is None:
        where = f"in FLAGBENCH_BIN={named}" if named else "beside this package or in PATH"
        raise NotFound(f"{program} is not {where}: install flagbench from a wheel for this platform")
    return Path(found)


def _script_folders() -> Iterator[Path]:
    yield Path(sysconfig.get_path("scripts"))
    # A package that was installed with --target or --prefix, or by `uv run --with`, has its scripts near itself.
    package = Path(__file__).resolve().parent
    name = "Scripts" if os.name == "nt" else "bin"
    for above in package.parents[:4]:
        yield above / name
    if sys.prefix != sys.base_prefix:
        yield Path(sysconfig.get_path("scripts", vars={"base": sys.base_prefix}))
    yield Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))

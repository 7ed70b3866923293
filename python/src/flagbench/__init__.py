"""Flagbench: a local server of flags with latency and faults that are the same every time, and a client that races.

Two programs, `flag-server` and `flag-client`; a thin `FlagServer` that starts the first in a test; and fixtures for
pytest: `flags`, `flag_scenario`, `flag_server`.
"""

from ._find import NotFound, find
from ._server import ControlError, FlagServer, Incomplete, Record, Run, StartError

__all__ = ["ControlError", "FlagServer", "Incomplete", "NotFound", "Record", "Run", "StartError", "find"]

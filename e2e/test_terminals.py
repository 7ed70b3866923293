"""Terminals of all kinds and sizes, and those that are closed while a program runs."""

import json

import pytest
from conftest import CLIENT, SERVER, cells
from terminal import CLOSED, on_a_terminal

RACE = ("-w", "0", "--strategy", "async", "BR", "JP")
COMMANDS = {
    "load": ("-d", "1s", "-w", "0s", "-r", "50", "BR"),
    "bench": ("-r", "3", *RACE),
    "get": ("--profile", "bench", "BR", "JP", "CN"),
}
ENDLESS = {
    "load": ("-d", "10h", "-w", "0s", "-r", "50", "BR"),
    "bench": ("-r", "100000", *RACE),
    "sweep": ("-r", "100000", *RACE),
    "get": ("--profile", "delay", "--every", "--strategy", "sequential"),
}
SIZES = [(0, 0), (1, 1), (5000, 5000), (65535, 65535)]  # rows, columns


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("term", ["dumb", ""], ids=["dumb", "empty"])
def test_a_terminal_without_a_cursor_gets_lines_only(command, term, tmp_path):
    code, shown, out = on_a_terminal(tmp_path, CLIENT, command, *COMMANDS[command], env={"TERM": term}, all_streams=True)
    assert code == 0, shown
    assert "\x1b" not in shown
    assert "\r" not in shown.replace("\r\n", "")
    assert command != "load" or " in flight" in shown


@pytest.mark.parametrize(
    "command, size",
    cells([(command, size) for command in COMMANDS for size in SIZES], [("load", size) for size in SIZES] + [("bench", (65535, 65535))]),
)
def test_a_terminal_may_say_that_it_has_any_size(command, size, tmp_path):
    code, shown, out = on_a_terminal(tmp_path, CLIENT, command, *COMMANDS[command], size=size, all_streams=True)
    assert code == 0, shown[-2000:]
    assert "panicked" not in shown
    assert command != "load" or "\x1b[?1049l" in shown


@pytest.mark.parametrize("command", ENDLESS)
@pytest.mark.parametrize("all_streams", [False, True], ids=["piped", "all"])
def test_a_terminal_that_is_closed_costs_no_result(command, all_streams, tmp_path):
    args = [*ENDLESS[command], "--export-json", "result.json"]
    begun = {"load": b"status", "get": b"flags" if all_streams else b"/"}.get(command, b"%")
    code, shown, out = on_a_terminal(
        tmp_path, CLIENT, command, *args, until=begun, then=CLOSED, all_streams=all_streams
    )
    assert code == 129, shown[-2000:] + out
    assert json.loads((tmp_path / "result.json").read_text())["interrupted"] is True


def test_a_server_ends_with_its_terminal(tmp_path):
    code, shown, out = on_a_terminal(
        tmp_path, SERVER, "--profile", "local", "--port", "0", until=b"local http", then=CLOSED, all_streams=True
    )
    assert code == 0, shown

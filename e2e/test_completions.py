"""`completions` and `man` with real shells and real readers of manual pages."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest
from conftest import BIN, CLIENT, SERVER, run

PROGRAMS = {"flag-server": SERVER, "flag-client": CLIENT}


def needs(program: str):
    reason = f"SKIPPED: no {program} on this machine"
    return pytest.mark.skipif(shutil.which(program) is None, reason=reason)


BASH, ZSH, FISH = (pytest.param(shell, marks=needs(shell)) for shell in ("bash", "zsh", "fish"))


def scripts(shell: str, folder) -> list[str]:
    """The files with the scripts of both programs."""
    files = {name: folder / f"{name}.{shell}" for name in PROGRAMS}
    for name, program in PROGRAMS.items():
        result = run(program, "completions", shell)
        assert (result.returncode, result.stderr) == (0, "")
        files[name].write_text(result.stdout)
    return [str(file) for file in files.values()]


@pytest.mark.parametrize("shell", [BASH, ZSH, FISH])
def test_a_shell_can_parse_the_scripts(shell, tmp_path):
    for script in scripts(shell, tmp_path):
        result = run(shell, "-n", script)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# As bash itself calls the function that completes: with the program, the word and the one before it.
ASK_BASH = r"""
source "$1"; source "$2"; shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
[[ $(complete -p "$1") =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "$1" "${@: -1}" "${@: -2:1}"
printf '%s\n' "${COMPREPLY[@]}"
"""
ASK_FISH = "source $argv[1]; source $argv[2]; complete -C $argv[3]"


def offered(shell: str, line: str, folder) -> list[str]:
    """What is offered when Tab is pressed at the end of this line."""
    if shell == "bash":
        words = line.split(" ")
        result = run("bash", "-c", ASK_BASH, "bash", *scripts(shell, folder), *words, cwd=folder)
    else:
        result = run("fish", "-c", ASK_FISH, *scripts(shell, folder), line, cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    return [line.split("\t")[0] for line in result.stdout.splitlines() if line]


@pytest.mark.parametrize("shell", [BASH, FISH])
@pytest.mark.parametrize(
    "line, expected",
    [
        ("flag-client ge", ["get"]),
        ("flag-client co", ["compare", "completions"]),
        ("flag-client --pro", ["--profile"]),
        ("flag-client get --strategy a", ["async"]),
        ("flag-client get BR --ou", ["--out"]),
        ("flag-client bench --export-", ["--export-csv", "--export-json", "--export-markdown"]),
        ("flag-client plan --profile b", ["bench"]),
        ("flag-server pro", ["profiles"]),
        ("flag-server --pro", ["--profile"]),
        ("flag-server --tls-", ["--tls-cert", "--tls-key"]),
        ("flag-server plan --profile d", ["delay", "delay-1e"]),
        ("flag-server man --o", ["--out"]),
    ],
)
def test_a_shell_offers_what_can_come_next(shell, line, expected, tmp_path):
    assert sorted(offered(shell, line, tmp_path)) == expected


@pytest.mark.parametrize("program", PROGRAMS)
def test_bash_offers_exactly_the_commands_of_the_help(program, tmp_path):
    help_text = run(PROGRAMS[program], "--help").stdout
    commands = re.search(r"^Commands:\n((?:  .*\n|\n)+)", help_text, re.M)[1]
    listed = re.findall(r"^  ([a-z]+) ", commands, re.M)
    assert "completions" in listed and "man" in listed and "worker" not in listed and "probe" not in listed
    found = offered("bash", f"{program} ", tmp_path)
    assert [word for word in found if not word.startswith("-")] == listed


@contextmanager
def terminal(*command: str, cwd):
    """A shell on a terminal, and two functions: to type, and to wait for output."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "PS1": "> ", "TERM": "dumb", "HOME": str(cwd)}
    shell = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=environment, start_new_session=True
    )
    os.close(theirs)
    shown = ""

    def wait_for(text: str):
        nonlocal shown
        deadline = time.monotonic() + 30
        while text not in shown:
            assert time.monotonic() < deadline, f"{text!r} is not in {shown!r}"
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 4096).decode(errors="replace")
        shown = shown.partition(text)[2]

    try:
        yield lambda text: os.write(ours, text.encode()), wait_for
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


@pytest.mark.parametrize("shell", [BASH, ZSH])
@pytest.mark.parametrize(
    "typed, completed",
    [
        ("flag-client ge", "flag-client get "),
        ("flag-client get --ou", "flag-client get --out"),
        ("flag-client get --strategy th", "flag-client get --strategy threaded "),
        ("flag-server pl", "flag-server plan "),
        ("flag-server --prof", "flag-server --profile"),
        ("flag-server profiles fla", "flag-server profiles flaky "),
    ],
)
def test_the_tab_key_completes_in_a_terminal(shell, typed, completed, tmp_path):
    server, client = scripts(shell, tmp_path)
    prepare = "autoload -U compinit && compinit -u -D && " if shell == "zsh" else ""
    with terminal(*START[shell], cwd=tmp_path) as (type_in, wait_for):
        # The terminal echoes what is typed, so the expected word is composed of two.
        type_in(f"{prepare}source {server} && source {client} && echo rea''dy\n")
        wait_for("ready")
        wait_for("> ")
        type_in(f"{typed}\t")
        wait_for(completed)


def pages(program: str, folder):
    result = run(PROGRAMS[program], "man", "--out", folder)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return sorted(folder.iterdir())


@needs("mandoc")
@pytest.mark.parametrize("program", PROGRAMS)
def test_mandoc_accepts_a_page(program, tmp_path):
    # The missing date is intended; the superfluous breaks come from clap_mangen.
    known = ("WARNING: missing date", "WARNING: skipping paragraph macro: br")
    for page in pages(program, tmp_path):
        result = run("mandoc", "-T", "lint", "-W", "warning", page)
        problems = [line for line in (result.stdout + result.stderr).splitlines() if not any(one in line for one in known)]
        assert problems == []


@needs("groff")
@pytest.mark.parametrize("program", PROGRAMS)
def test_groff_shows_a_page_without_a_warning(program, tmp_path):
    shown = {}
    for page in pages(program, tmp_path):
        result = run("groff", "-Kutf8", "-man", "-Tutf8", "-ww", "-P-cbou", page)
        assert (result.returncode, result.stderr) == (0, "")
        shown[page.stem] = result.stdout
        headings = re.findall(r"^[A-Z ]+$", result.stdout, re.M)
        assert headings[:3] == ["NAME", "SYNOPSIS", "DESCRIPTION"] and headings[-2:] == ["EXIT STATUS", "SEE ALSO"]
        title = f"{page.stem}(1)"
        assert result.stdout.split()[:3] == [title, "Flagbench", title]
    whole = shown[program]
    for command in set(shown) - {program}:
        assert f"\n       {command}(1)\n" in whole
    version = run(PROGRAMS[program], "--version").stdout.split()
    assert whole.splitlines()[-1].split() == [*version, f"{program}(1)"]

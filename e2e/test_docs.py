"""Every command in the documents is run, and must print the output shown there.

Without `--long`, the program that is already built replaces the release build of a command.

In a ```console block a line after `$ ` is a command; what follows is its output. Numbers, durations, bars and the
width of tables may differ from run to run, and so may warnings and outliers; words may not. A ```toml block that begins with its name, like
`# tea.toml`, is a file that the commands of its document find. A command that ends with `&` runs on until the end of
its document.
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import BIN, ROOT, own_network

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def transcripts(document: Path) -> list[tuple[str, str]]:
    """(command, output) for each command of the document."""
    blocks = re.findall(r"^```console\n(.*?)^```", document.read_text(), re.M | re.S)
    commands = [part for block in blocks for part in re.split(r"^\$ ", block, flags=re.M)[1:]]
    return [tuple(re.match(r"((?:[^\n]*\\\n)*[^\n]*)\n(.*)", part, re.S).groups()) for part in commands]


def files(document: Path) -> list[tuple[str, str]]:
    """(name, text) for each TOML block of the document that begins with its name."""
    blocks = re.findall(r"^```toml[^\n]*\n(.*?)^```", document.read_text(), re.M | re.S)
    named = [(re.match(r"# ([\w-]+\.toml)\n", block), block) for block in blocks]
    return [(name[1], block) for name, block in named if name]


def words_of(text: str) -> str:
    """The text without the parts that may differ."""
    text = re.sub(r"^(?:outlier|warning): .*\n?", "", text, flags=re.M)
    text = re.sub(r"^(?: *\d+\.\d s: .* in flight, .*|warming up)\n?", "", text, flags=re.M)
    text = re.sub(r"(?<=grows with the workers \(connecting included\)):.*", "", text)
    text = re.sub(r"[█▏▎▍▌▋▊▉]+", "█", text)
    text = re.sub(r"^(?:\S+ was the fastest.*|No difference was found between .*)$", "HEADLINE", text, flags=re.M)
    text = re.sub(r"\d\d\d\d-\d\d-\d\dT[\d:]{8}Z", "TIME", text)
    text = re.sub(r"\d[\d.]*×(?: \([\d.–]+(?: \(\d+ %\))?\))?", "N×", text)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"[\da-f]{64}", "DIGEST", text)
    text = re.sub(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", "DATE", text)
    text = re.sub(r"\d[\d.]*(?:–\d[\d.]*)?(?: (?:s|ms|µs|[KM]iB)\b)?", "N", text)
    text = re.sub(r"[─ ]+", lambda run: "─" if "─" in run[0] else " ", text)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def wait_for_lines(output: Path, count: int) -> str:
    """The output of a running program, once it has this many lines."""
    deadline = time.monotonic() + 30
    while output.read_text().count("\n") < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return output.read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_of_a_document_print_its_output(document, tmp_path, pytestconfig):
    # The Python that runs this test has the libraries of the examples.
    environment = {**os.environ, "PATH": f"{BIN}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for folder in ("bench", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for name, text in files(document):
        (tmp_path / name).write_text(text)
    background = []
    with own_network() as inside:
        try:
            for command, expected in transcripts(document):
                if not pytestconfig.getoption("--long"):
                    command = command.replace("cargo run --release --bin ", "")
                # cargo runs in the project; everything else in a separate folder.
                folder = ROOT if command.startswith("cargo ") else tmp_path
                options = dict(cwd=folder, env=environment, text=True)
                if command.endswith("&"):
                    output = tmp_path / "background"
                    with output.open("w") as file:
                        words = [*inside, "bash", "-c", f"exec {command.removesuffix('&').strip()}"]
                        background.append(subprocess.Popen(words, stdout=file, stderr=file, **options))
                    found = wait_for_lines(output, expected.count("\n"))
                else:
                    # The build output of cargo goes to the log of the tests.
                    stderr = None if command.startswith("cargo ") else subprocess.STDOUT
                    result = subprocess.run([*inside, "bash", "-c", command], stdout=subprocess.PIPE, stderr=stderr, check=False, **options)
                    found = result.stdout
                assert words_of(found) == words_of(expected), command
        finally:
            for process in background:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=20)


def test_the_documents_have_commands():
    assert len(transcripts(ROOT / "README.md")) >= 6


def test_the_gate_runs_the_test_command_of_the_readme():
    assert "cargo test --workspace" in (ROOT / "README.md").read_text()
    assert "cargo test --workspace" in (ROOT / ".ci" / "run").read_text()


def http_library(program: str) -> str:
    """What a program of the examples imports for its requests, itself or through another of them."""
    text = (ROOT / "examples" / "python" / program).read_text()
    imported = re.search(r"^\s*(?:from|import) (urllib|httpx|requests|aiohttp)\b", text, re.M)
    return imported[1] if imported else http_library(re.search(r"^from (flags_(?!common)\w+) import", text, re.M)[1] + ".py")


def test_the_documents_name_the_http_library_that_a_program_imports():
    named = []
    for document in DOCUMENTS:
        labels = re.findall(r"((?:`flags_\w+\.py`(?: and |, )?)+) \((\w+)\)", document.read_text())
        named += [(program, library) for programs, library in labels for program in re.findall(r"flags_\w+\.py", programs)]
    assert len(named) >= 6
    for program, library in named:
        assert http_library(program) == library, program

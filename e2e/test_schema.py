"""The JSON Schema and the parser accept and refuse the same files."""

import json
import re
import tomllib

import pytest
from conftest import ROOT, SERVER, run
from jsonschema import Draft202012Validator

SCHEMA = json.loads(run(SERVER, "schema").stdout)
PROFILES = [line.split()[0] for line in run(SERVER, "profiles").stdout.splitlines()]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def schema_accepts(text: str) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(tomllib.loads(text))


def parser_accepts(folder, text: str) -> bool:
    file = folder / "file.toml"
    file.write_text(text)
    result = run(SERVER, "check", file)
    assert result.returncode == (2 if result.stderr else 0)
    return result.returncode == 0


def examples() -> list[str]:
    blocks = (re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.M | re.S) for path in DOCUMENTS)
    return [block for of_document in blocks for block in of_document]


def test_the_schema_is_valid():
    Draft202012Validator.check_schema(SCHEMA)


def test_every_table_is_closed():
    def visit(node):
        if isinstance(node, dict):
            if node.get("type") == "object" and "properties" in node:
                assert node["additionalProperties"] is False, node
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            for child in node:
                visit(child)

    visit(SCHEMA["$defs"])


def test_the_profiles_are_those_of_the_server():
    assert SCHEMA["$defs"]["listener"]["properties"]["profile"]["enum"] == PROFILES


def test_a_listener_has_the_keys_that_the_server_names(tmp_path):
    """A unit test of the scenario crate compares all other tables."""
    file = tmp_path / "file.toml"
    file.write_text('listener = [{ name = "a", port = 0, unknown = 1 }]')
    (named,) = re.findall(r"use one of (.*)", run(SERVER, "check", file).stderr)
    assert set(SCHEMA["$defs"]["listener"]["properties"]) == set(named.split(", "))


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_is_accepted(name):
    assert schema_accepts(run(SERVER, "profiles", name).stdout)


def test_every_example_of_the_documents_is_accepted():
    """The parser reads them in server/tests/docs.rs."""
    assert examples()
    for text in examples():
        assert schema_accepts(text), text


def rule(text: str) -> str:
    return f"rule = [{{ {text} }}]"


LATE = 'fault = "latency", distribution = '
RIGHT = [
    "",
    "seed = 0",
    rule('fault = "close"'),
    rule('name = "a-b_c.d", fault = "EMPTY_RESPONSE", probability = 0'),
    rule('fault = "CONNECTION_RESET_BY_PEER", after = "1.5 KiB"'),
    rule('fault = "RANDOM_DATA_THEN_CLOSE"'),
    rule('fault = "MALFORMED_RESPONSE_CHUNK"'),
    rule('fault = "status", status = 599, retry_after = "1m 30s", body = ""'),
    rule('fault = "status", one_of = [{ status = 500, weight = 0 }, { status = 503 }]'),
    rule('fault = "truncate", fraction = 1'),
    rule('fault = "stall", after = "0B", hold = "0s"'),
    rule('fault = "dribble", chunks = 10000, over = "2hours"'),
    rule(LATE + '{ fixed = "1500us" }'),
    rule(LATE + '{ lognormal = { median = "1s", sigma = 0 } }, max = "1 s"'),
    rule('fault = "close", match = { cc = "br", path = "*", method = "get", header = { x = "?" } }'),
    rule('fault = "close", match = {}, attempts = { first = 1 }, window = { until = "1s" }'),
    'capacity = { workers = 1, service_time = { fixed = "1s" } }',
    'listener = [{ name = "a", port = 0 }]',
    'listener = [{ name = "a", port = 0 }]\ncontrol = "127.0.0.1:0"',
    'listener = [{ name = "a", port = 0 }]\ncontrol = "[::1]:9000"',
    'listener = [{ name = "a", port = 1, profile = "flaky", seed = 1 }]',
    'listener = [{ name = "a", port = 1, rule = [{ fault = "close" }] }]',
]
WRONG = [
    'listener = [{ name = "a", port = 0 }]\ncontrol = "9000"',
    'listener = [{ name = "a", port = 0 }]\ncontrol = 9000',
    'control = "127.0.0.1:0"',
    "seed = -1",
    "seed = 1.5",
    'seed = "1"',
    "sede = 1",
    "rule = 1",
    "rule = [1]",
    rule(""),
    rule('fault = "teapot"'),
    rule('fault = "Close"'),
    rule('fault = "close", colour = "red"'),
    rule('fault = "close", status = 418'),
    rule('fault = "close", name = "a b"'),
    rule('fault = "close", name = ""'),
    rule('fault = "close", probability = 1.1'),
    rule('fault = "close", probability = "1"'),
    rule('fault = "latency"'),
    rule(LATE + "{ }"),
    rule(LATE + '{ fixed = 1 }'),
    rule(LATE + '{ fixed = "1" }'),
    rule(LATE + '{ fixed = "-1s" }'),
    rule(LATE + '{ fixed = "1 parsec" }'),
    rule(LATE + '{ fixed = "1s", exponential = { mean = "1s" } }'),
    rule(LATE + '{ uniform = { lower = "1s" } }'),
    rule(LATE + '{ normal = { mean = "1s", sd = "1s", max = "2s" } }'),
    rule(LATE + '{ lognormal = { median = "1s" } }'),
    rule(LATE + '{ lognormal = { median = "1s", sigma = 1, p99 = "2s" } }'),
    rule(LATE + '{ lognormal = { median = "1s", sigma = 11 } }'),
    rule(LATE + '{ pareto = { scale = "1s", shape = 0 } }'),
    rule('fault = "status"'),
    rule('fault = "status", status = 199'),
    rule('fault = "status", status = 600'),
    rule('fault = "status", status = 418, one_of = [{ status = 418 }]'),
    rule('fault = "status", one_of = []'),
    rule('fault = "status", one_of = [{ weight = 1 }]'),
    rule('fault = "status", one_of = [{ status = 418, weight = -1 }]'),
    rule('fault = "status", status = 418, retry_after = 5'),
    rule('fault = "reset", after = 5'),
    rule('fault = "reset", after = "5"'),
    rule('fault = "reset", after = "5 bits"'),
    rule('fault = "truncate"'),
    rule('fault = "truncate", after = "1B", fraction = 0.5'),
    rule('fault = "stall", hold = "for ever"'),
    rule('fault = "bandwidth"'),
    rule('fault = "bandwidth", rate = "0B"'),
    rule('fault = "dribble", chunks = 3'),
    rule('fault = "dribble", chunks = 0, over = "1s"'),
    rule('fault = "dribble", chunks = 10001, over = "1s"'),
    rule('fault = "corrupt", bits = 0'),
    rule('fault = "corrupt", bits = 1025'),
    rule('fault = "redirect", hops = 101'),
    rule('fault = "close", match = { cc = "BRA" }'),
    rule('fault = "close", match = { cc = [] }'),
    rule('fault = "close", match = { country = "BR" }'),
    rule('fault = "close", match = { method = 1 }'),
    rule('fault = "close", match = { header = { x = 1 } }'),
    rule('fault = "close", attempts = {}'),
    rule('fault = "close", attempts = { first = 0 }'),
    rule('fault = "close", window = { from = 1 }'),
    "capacity = { workers = 1 }",
    'capacity = { workers = 0, service_time = { fixed = "1s" } }',
    'capacity = { workers = 1, service_time = { fixed = "1s" }, queue = -1 }',
    "listener = []",
    'listener = [{ name = "a" }]',
    'listener = [{ name = "a b", port = 1 }]',
    'listener = [{ name = "a", port = 65536 }]',
    'listener = [{ name = "a", port = 1, profile = "teapot" }]',
    'listener = [{ name = "a", port = 1, profile = "flaky", rule = [] }]',
    'seed = 1\nlistener = [{ name = "a", port = 1 }]',
]


@pytest.mark.parametrize("text", RIGHT)
def test_both_accept(tmp_path, text):
    assert parser_accepts(tmp_path, text)
    assert schema_accepts(text)


@pytest.mark.parametrize("text", WRONG)
def test_both_refuse(tmp_path, text):
    assert not parser_accepts(tmp_path, text)
    assert not schema_accepts(text)

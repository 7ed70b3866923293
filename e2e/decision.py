"""A second implementation of the server's decision function, written from its documentation.

Nothing here calls Flagbench. If its results and the server's agree, the function is what docs/determinism.md specifies.
Run as a program it prints the golden vectors that server/tests/decisions.rs pins.
"""

import math
import re
import string
import struct
import urllib.parse
from fractions import Fraction
from statistics import NormalDist

from blake3 import blake3

CONTEXT = "flagbench 2026-11-23 decision stream v1"
MASK = 0xFFFFFFFF


def with_length(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


UNRESERVED = set(string.ascii_letters + string.digits + "-._~")


def canonical(target: str) -> str:
    """The canonical path of a request target, in the steps of docs/determinism.md."""
    if not target.startswith("/") and (origin := re.match(r"[^/]*://[^/?#]*", target)):
        target = target[origin.end() :]
        if not target.startswith("/"):
            target = "/"
    path = re.split("[?#]", target)[0]
    path = re.sub("%[0-9A-Fa-f]{2}", lambda escape: decoded(escape[0]), path)
    path = re.sub("/+", "/", without_dot_segments(path))
    path = re.sub("^/run/[^/]*(?=/)", "", path)
    path = re.sub("^/data(?=/(?i:flags)(/|$))", "", path)
    upload = re.match("(?i:/uploads/)", path)
    return lower(path[: upload.end()]) + path[upload.end() :] if upload else lower(path)


def lower(text: str) -> str:
    return "".join(letter.lower() if letter in string.ascii_uppercase else letter for letter in text)


def run_in(target: str) -> str | None:
    """The run that a request target names, if it does."""
    path = re.split("[?#]", re.sub(r"^[^/]*://[^/?#]*", "", target))[0]
    path = re.sub("%[0-9A-Fa-f]{2}", lambda escape: decoded(escape[0]), path)
    named = re.match("/run/([^/]*)/", re.sub("/+", "/", without_dot_segments(path)))
    return named and urllib.parse.unquote(named[1])


def decoded(escape: str) -> str:
    character = chr(int(escape[1:], 16))
    return character if character in UNRESERVED else escape


def without_dot_segments(rest: str) -> str:
    """RFC 3986, section 5.2.4, for a path that begins with a slash."""
    if not rest.startswith("/"):
        return rest
    output = ""
    while rest:
        if rest.startswith("/./"):
            rest = rest[2:]
        elif rest == "/.":
            rest = "/"
        elif rest.startswith("/../"):
            rest, output = rest[3:], output.rpartition("/")[0]
        elif rest == "/..":
            rest, output = "/", output.rpartition("/")[0]
        else:
            segment = re.match("/[^/]*", rest)[0]
            output, rest = output + segment, rest[len(segment) :]
    return output


def country(path: str) -> str | None:
    """The country whose file a canonical path names, whether or not there is such a country."""
    file = re.fullmatch(r"/flags/([a-z]{2})/(?:\1\.gif|metadata\.json)", path)
    return file and file[1].upper()


def words(seed: int, rule: str, run: str, method: str, path: str, attempt: int):
    """The stream of u64 words that one rule draws for one request."""
    rule_key = blake3(
        struct.pack("<Q", seed) + with_length(rule), derive_key_context=CONTEXT
    ).digest()
    request = b"".join(map(with_length, (run, method, path))) + struct.pack("<Q", attempt)
    key = struct.unpack("<8I", blake3(request, key=rule_key).digest())
    counter = 0
    while True:
        block = chacha8_block(key, counter)
        for low, high in zip(block[::2], block[1::2]):
            yield high << 32 | low
        counter += 1


def chacha8_block(key: tuple[int, ...], counter: int) -> list[int]:
    """RFC 8439's block with 8 rounds, a 64-bit counter and nonce 0."""
    constants = struct.unpack("<4I", b"expand 32-byte k")
    start = [*constants, *key, counter & MASK, counter >> 32, 0, 0]
    state = start.copy()
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(4):
        for a, b, c, d in columns + diagonals:
            for into, other, turned, left in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[into] = (state[into] + state[other]) & MASK
                mixed = state[turned] ^ state[into]
                state[turned] = (mixed << left | mixed >> (32 - left)) & MASK
    return [(x + y) & MASK for x, y in zip(start, state)]


def fires(word: int, probability: float) -> bool:
    return (word >> 11) / 2**53 < probability


def uniform_ns(word: int, lower_ns: int, upper_ns: int) -> int:
    return lower_ns + ((upper_ns - lower_ns) * word >> 64)


def teapot_and_delay(seed: int, path: str, *, teapot: float, lower_ns: int, upper_ns: int, attempt: int = 1, run: str = ""):
    """(status, delay in ns) under a rule `teapot` (status 418) and a rule `delay` (uniform)."""
    coin = next(words(seed, "teapot", run, "GET", path, attempt))
    delay = words(seed, "delay", run, "GET", path, attempt)
    next(delay)  # the probability word of a rule that always fires
    return 418 if fires(coin, teapot) else 200, uniform_ns(next(delay), lower_ns, upper_ns)


HOUR = 3600.0
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": HOUR}
SIZES = {"B": 1, "kB": 1000, "KiB": 1024}
ALIASES = {
    "CONNECTION_RESET_BY_PEER": "reset",
    "EMPTY_RESPONSE": "close",
    "RANDOM_DATA_THEN_CLOSE": "garbage",
    "MALFORMED_RESPONSE_CHUNK": "garbage",
}


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(us|ms|s|m|h)", text).groups()
    return float(Fraction(number) * Fraction(UNITS[unit]).limit_denominator(10**6))


def size(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(B|kB|KiB)", text).groups()
    return int(number) * SIZES[unit]


def nanoseconds(seconds: float) -> int:
    """Rounded to the nearest; the float is converted exactly."""
    return round(Fraction(seconds) * 10**9)


def open_unit(word: int) -> float:
    return ((word >> 12) + 0.5) / 2**52


def quantile_ns(shape: str, of: dict | str, stream) -> int | None:
    """The delay that the next word gives; none below zero."""
    if shape == "fixed":
        return nanoseconds(seconds(of))
    word = next(stream)
    if shape == "uniform":
        return uniform_ns(word, nanoseconds(seconds(of["lower"])), nanoseconds(seconds(of["upper"])))
    u = open_unit(word)
    if shape == "normal":
        delay = seconds(of["mean"]) + seconds(of["sd"]) * NormalDist().inv_cdf(u)
    elif shape == "lognormal":
        median = seconds(of["median"])
        sigma = of["sigma"] if "sigma" in of else math.log(seconds(of["p99"]) / median) / NormalDist().inv_cdf(0.99)
        delay = median * math.exp(sigma * NormalDist().inv_cdf(u))
    elif shape == "exponential":
        delay = -seconds(of["mean"]) * math.log(1 - u)
    else:
        delay = seconds(of["scale"]) * math.exp(-math.log(1 - u) / of["shape"])
    return nanoseconds(delay) if delay >= 0 else None


def delay_ns(distribution: dict, longest: str | None, stream) -> int:
    [(shape, of)] = distribution.items()
    longest = nanoseconds(seconds(longest) if longest else HOUR)
    for _ in range(16):
        delay = quantile_ns(shape, of, stream)
        if delay is not None and delay <= longest:
            return delay
    return min(quantile_ns(shape, of, stream) or 0, longest)


def choice(choices: list[dict], stream) -> int:
    if len(choices) == 1:
        return choices[0]["status"]
    weights = [one.get("weight", 1) for one in choices]
    rest = sum(weights) * next(stream) >> 64
    for one, weight in zip(choices, weights):
        if rest < weight:
            return one["status"]
        rest -= weight
    raise AssertionError("the rest is below the sum of the weights")


def decide(rule: dict, seed: int, run: str, method: str, path: str, attempt: int) -> dict | None:
    """The decision of one rule without conditions; none if it does not fire. Durations are in nanoseconds."""
    stream = words(seed, rule["name"], run, method, path, attempt)
    if not fires(next(stream), rule.get("probability", 1)):
        return None
    kind = ALIASES.get(rule["fault"], rule["fault"])
    bytes_or_none = lambda key: size(rule[key]) if key in rule else None
    time_or_none = lambda key: nanoseconds(seconds(rule[key])) if key in rule else None
    if kind == "latency":
        return {"delay_ns": delay_ns(rule["distribution"], rule.get("max"), stream)}
    if kind == "status":
        status = choice(rule.get("one_of") or [{"status": rule["status"]}], stream)
        return {"kind": kind, "status": status, "retry_after_ns": time_or_none("retry_after")}
    if kind == "reset":
        return {"kind": kind, "after": bytes_or_none("after")}
    if kind == "close":
        return {"kind": kind}
    if kind == "truncate":
        return {"kind": kind, **({"after": bytes_or_none("after")} if "after" in rule else {"fraction": rule["fraction"]})}
    if kind == "stall":
        return {"kind": kind, "after": bytes_or_none("after"), "hold_ns": time_or_none("hold")}
    if kind == "bandwidth":
        return {"rate": bytes_or_none("rate")}
    if kind == "dribble":
        return {"dribble": {"chunks": rule["chunks"], "over_ns": time_or_none("over")}}
    if kind == "garbage":
        garbage = bytearray(b"".join(struct.pack("<Q", next(stream)) for _ in range(8)))
        garbage[0] |= 0x80
        return {"kind": kind, "bytes": garbage.hex(), "after_head": rule["fault"] == "MALFORMED_RESPONSE_CHUNK"}
    if kind == "corrupt":
        return {"kind": kind, "draws": [next(stream) for _ in range(rule.get("bits", 1))]}
    assert kind == "redirect"
    return {"kind": kind, "hops": rule.get("hops", 1)}


def in_group(rules: list[dict], place: int, *request) -> bool:
    """Whether the coin of a rule's group is in its interval."""
    group = rules[place]["group"]
    start = 0.0
    for rule in rules[:place]:
        if rule.get("group") == group:
            start += rule.get("probability", 1)
    seed, *rest = request
    coin = (next(words(seed, f"group {group}", *rest)) >> 11) / 2**53
    return start <= coin < start + rules[place].get("probability", 1)


def decide_all(rules: list[dict], *request) -> dict[str, dict]:
    """The decisions of the rules that fire, none of which has conditions or ends the response, by their names."""
    decisions = {}
    for place, rule in enumerate(rules):
        if "group" not in rule:
            decisions[rule["name"]] = decide(rule, *request)
        elif in_group(rules, place, *request):
            decisions[rule["name"]] = decide({**rule, "probability": 1}, *request)
    return {name: decision for name, decision in decisions.items() if decision}


def flip(body: bytes, draws: list[int]) -> bytes:
    """The body with one bit flipped for each draw: R. W. Floyd's sample without replacement."""
    bits = len(body) * 8
    count = min(len(draws), bits)
    chosen = set()
    for last, draw in zip(range(bits - count, bits), draws):
        place = (last + 1) * draw >> 64
        chosen.add(last if place in chosen else place)
    flipped = bytearray(body)
    for place in chosen:
        flipped[place // 8] ^= 1 << place % 8
    return bytes(flipped)


if __name__ == "__main__":
    for seed, run, path, attempt in [
        (20150223, "", "/flags/br/br.gif", 1),
        (20150223, "", "/flags/br/br.gif", 2),
        (20150223, "", "/flags/jp/jp.gif", 1),
        (20150223, "suite-7", "/flags/br/br.gif", 1),
        (20150224, "", "/flags/br/br.gif", 1),
        (20150223, "", "/flags/br/metadata.json", 1),
        (2**64 - 1, "é", "/flags/zz/zz.gif", 2**32 - 1),
    ]:
        vector = teapot_and_delay(seed, path, teapot=0.25, lower_ns=500_000_000, upper_ns=5_000_000_000, attempt=attempt, run=run)
        print(f"({seed}, {run!r}, {path!r}, {attempt}) -> {vector}".replace("'", '"'))

"""The server's decision function, written a second time from its documentation.

Nothing here calls Flagbench. If these numbers and the server's agree, the function is what the docs say.
Run as a program it prints the golden vectors that server/tests/golden.rs pins.
"""

import struct

from blake3 import blake3

CONTEXT = "flagbench 2026-11-23 decision stream v1"
MASK = 0xFFFFFFFF


def with_length(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


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


def fate(seed: int, path: str, *, teapot: float, lower_ns: int, upper_ns: int, attempt: int = 1, run: str = ""):
    """(status, delay in ns) under a rule `teapot` (status 418) and a rule `delay` (uniform)."""
    coin = next(words(seed, "teapot", run, "GET", path, attempt))
    delay = words(seed, "delay", run, "GET", path, attempt)
    next(delay)  # the coin of a rule that always fires
    return 418 if fires(coin, teapot) else 200, uniform_ns(next(delay), lower_ns, upper_ns)


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
        fate_ = fate(seed, path, teapot=0.25, lower_ns=500_000_000, upper_ns=5_000_000_000, attempt=attempt, run=run)
        print(f"({seed}, {run!r}, {path!r}, {attempt}) -> {fate_}".replace("'", '"'))

#!/usr/bin/env bash
# What the numbers of Flagbench are worth: intervals, winners, gates, queues and percentiles, each against a truth that is known otherwise.
#
# usage: bench/truth.sh [--short] [--only PART]... [--json FILE]
#
# The parts: intervals, theory, gate, queue, percentiles; without --only, all of them, which takes about an hour. The first two are simulations,
# without a clock. The others run real programs, and want a machine that does nothing else. --short takes a minute, and judges only what
# holds on any machine. Everything listens on 127.0.0.1 and ends with the script.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$PWD/target/truth
mkdir -p "$folder"
cargo build --release --quiet --locked --bins
[[ -x $folder/venv/bin/python ]] || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$(grep '^blake3==' e2e/requirements.txt)"
exec "$folder/venv/bin/python" bench/truth.py --bins "${CARGO_TARGET_DIR:-target}/release" "$@"

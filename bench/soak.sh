#!/usr/bin/env bash
# Ten minutes of faults at 500 connections, with reloads, rotated logs, and clients that never read, that leave, and that close their half: memory,
# descriptors, threads and records must stay flat.
#
# usage: bench/soak.sh [--seconds N] [--connections N] [--rate N] [--json FILE]
#
# It prints a row every half minute, and what it found. Everything listens on 127.0.0.1 and ends with the script.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --quiet --locked --bins
exec python3 bench/soak.py --bins "${CARGO_TARGET_DIR:-target}/release" "$@"

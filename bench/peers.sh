#!/usr/bin/env bash
# Flagbench compared with nginx, wrk, hey, oha and a bare epoll loop: the processor time of a request in each, in one run.
#
# usage: bench/peers.sh [--rounds N] [--seconds S] [--waiting N] [--only PART]... [--json FILE]
#
# The parts: server, threads, waiting, load, downloaders, start, decisions; without --only, all of them.
# It builds Flagbench and a minimal server in C, installs nginx, wrk and hey from Debian (as root; otherwise they must be installed already) and oha
# from crates.io, and keeps what it builds in target/peers. Everything listens on 127.0.0.1 and ends with the script.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly oha=1.16.0
folder=$PWD/target/peers
mkdir -p "$folder"

for program in nginx wrk hey; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null && continue
  if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    echo "peers.sh: $program is missing; install it" >&2
    exit 1
  fi
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$program" >"$folder/apt-$program.log"
done
if ! "$folder/bin/oha" --version 2>/dev/null | grep -q " $oha$"; then
  cargo install oha --version "$oha" --locked --quiet --root "$folder"
fi
cc -O2 -o "$folder/floor" bench/floor.c
cargo build --profile dist --quiet --locked --bins
[[ -x $folder/venv/bin/python ]] || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 httpx==0.28.1
exec "$folder/venv/bin/python" bench/peers.py --folder "$folder" --bins "${CARGO_TARGET_DIR:-target}/dist" "$@"

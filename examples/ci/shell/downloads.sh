#!/usr/bin/env bash
# Starts a server on a free port, has curl survive two failures, and stops the server, whatever happens.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
server=

stop() {
  if [[ -n $server ]]; then
    kill "$server" 2>/dev/null || true # SIGTERM: requests in flight may finish
    wait "$server" || true
  fi
  rm -r "$folder"
}
trap stop EXIT

# The server prints `NAME URL` for each listener once all of them accept, so reading a line waits until it is ready.
# If it ends before that, there is no line, and the script ends too.
mkfifo "$folder/lines"
flag-server --scenario "$here/../retry.toml" --port 0 >"$folder/lines" &
server=$!
read -r _ url <"$folder/lines"

# Two downloads of the same flag at the same time, each in a run of its own.
download() {
  curl --silent --show-error --fail --retry "$2" --retry-delay 1 --header "flag-run: $1" \
    --output "$folder/$1.gif" "$url/flags/br/br.gif"
}
download patient 2 &
patient=$!
if download hasty 1; then
  echo "one retry was enough?" >&2
  exit 1
fi
wait "$patient"
[[ $(head -c 6 "$folder/patient.gif") == GIF89a ]]
echo "the patient download went well, the hasty one did not"

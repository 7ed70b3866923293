#!/usr/bin/env bash
# Starts a server on free ports, has curl survive two failures, asks the server what it saw, and stops it, whatever happens.
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

# The server prints `NAME URL` for each listener once all of them accept, so reading the lines waits until it is ready. That
# of the control plane is the last. If the server ends before that, there is no line, and the script ends too.
mkfifo "$folder/lines"
flag-server --profile local --port 0 --control 127.0.0.1:0 >"$folder/lines" &
server=$!
{
  read -r _ url
  read -r _ control
} <"$folder/lines"

# Two downloads of the same flag at the same time, each in a run with a scenario of its own.
download() {
  curl --silent --show-error --fail --upload-file "$here/../retry.toml" "$control/api/runs/$1/scenario?for=1m"
  curl --silent --show-error --fail --retry "$2" --retry-delay 1 --output "$folder/$1.gif" "$url/run/$1/flags/br/br.gif"
}
download patient 2 &
patient=$!
if download hasty 1; then
  echo "one retry was enough?" >&2
  exit 1
fi
wait "$patient"
[[ $(head -c 6 "$folder/patient.gif") == GIF89a ]]

# What was sent, as soon as all of it is over. With jq: jq '.records[].sent.status'
statuses() {
  curl --silent --show-error --fail "$control/api/runs/$1/records?count=$2&settled=true&wait=5s" |
    grep -o '"sent":{"status":[0-9]*' | grep -o '[0-9]*$' | xargs
}
[[ $(statuses patient 3) == "503 503 200" ]]
[[ $(statuses hasty 2) == "503 503" ]]
echo "the patient download went well, the hasty one did not"

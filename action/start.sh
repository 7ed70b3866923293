#!/usr/bin/env bash
# The implementation of the action (../action.yml): gets a flag-server, starts it in the background, waits until it accepts
# connections, and passes its address to the following steps.
#
# It reads the inputs of the action as INPUT_ARGS, INPUT_VERSION, INPUT_PATH, INPUT_BUILD and INPUT_BASE_URL, and the
# runner's RUNNER_TEMP, GITHUB_OUTPUT, GITHUB_ENV and GITHUB_PATH. Without them it works too, and prints what it would
# have written there. It must run in bash 3.2, the version of macOS.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
readonly root base_url=${INPUT_BASE_URL:-https://github.com/flagbench/flagbench/releases/download}

fail() {
  # The runner reads this from either stream, and standard output may be captured as a value.
  printf '::error title=Flagbench::%s\n' "$1" >&2
  exit 1
}

# Adds a line to the file that a variable of the runner names.
append() { # VARIABLE LINE
  if [[ -n ${!1-} ]]; then
    echo "$2" >>"${!1}"
  else
    echo "$2"
  fi
}

# The name of the platform in the names of the archives.
target() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo x86_64-unknown-linux-gnu ;;
    Linux-aarch64 | Linux-arm64) echo aarch64-unknown-linux-gnu ;;
    Darwin-x86_64) echo x86_64-apple-darwin ;;
    Darwin-arm64) echo aarch64-apple-darwin ;;
    *) fail "there is no release for $(uname -s) on $(uname -m): set 'build: true', or 'path' to a flag-server" ;;
  esac
}

# The version of the sources beside this script.
own_version() {
  sed -n '/^version = /{s/^version = "\(.*\)"$/\1/p;q;}' "$root/Cargo.toml"
}

fetch() { # URL FILE
  curl --fail --silent --show-error --location --proto-redir '=https' --retry 3 --output "$2" "$1" ||
    fail "cannot download $1: is there such a release? Set 'version' to one that exists, or 'build: true'"
}

sha256() { # FILE
  if command -v sha256sum >/dev/null; then
    sha256sum "$1"
  else
    shasum -a 256 "$1"
  fi | cut -d ' ' -f 1
}

# Downloads a release into a folder, and prints the path of its flag-server.
download() { # FOLDER
  local folder=$1 version target archive expected actual binary
  version=${INPUT_VERSION:-$(own_version)}
  version=${version#v}
  case $version in
    '' | *[!0-9A-Za-z.+-]*) fail "version: '$version' is not a version; give one like 0.1.0" ;;
  esac
  target=$(target) || exit
  archive=flagbench-$version-$target.tar.gz

  fetch "$base_url/v$version/SHA256SUMS" "$folder/SHA256SUMS"
  fetch "$base_url/v$version/$archive" "$folder/$archive"
  expected=$(awk -v name="$archive" '{ sub(/^[*]/, "", $2) } $2 == name { print $1 }' "$folder/SHA256SUMS")
  [[ -n $expected ]] || fail "$base_url/v$version/SHA256SUMS does not name $archive"
  actual=$(sha256 "$folder/$archive")
  [[ $actual == "$expected" ]] ||
    fail "$archive has a wrong SHA-256: $actual instead of $expected. Nothing of it was run"

  tar -xzf "$folder/$archive" -C "$folder"
  binary=$(find "$folder" -type f -name flag-server)
  [[ -n $binary ]] || fail "$archive contains no flag-server"
  echo "$binary"
}

# Builds the sources beside this script into a folder, and prints the path of their flag-server.
build() { # FOLDER
  command -v cargo >/dev/null || fail "build: cargo is missing; install Rust before this step"
  cargo install --quiet --locked --no-track --profile dist --path "$root/server" --root "$1" >&2 || fail "build: cargo failed"
  echo "$1/bin/flag-server"
}

folder=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/flagbench.XXXXXX")
if [[ -n ${INPUT_PATH-} ]]; then
  binary=$INPUT_PATH
  [[ -f $binary && -x $binary ]] || fail "path: '$binary' is not a program; give the path of a flag-server"
elif [[ ${INPUT_BUILD-} == true ]]; then
  binary=$(build "$folder")
else
  binary=$(download "$folder")
fi
case $binary in /*) ;; *) binary=$PWD/$binary ;; esac

# Splits words with shell quotes. Unlike a shell, xargs expands and executes nothing.
args=()
if [[ ${INPUT_ARGS-} == *[![:space:]]* ]]; then
  words=$(printf '%s\n' "$INPUT_ARGS" | xargs -n 1 printf '%s\n') || fail "args: a quote is missing in: $INPUT_ARGS"
  while IFS= read -r word; do args+=("$word"); done <<<"$words"
fi

export FLAG_SERVER_DECISION_LOG=${FLAG_SERVER_DECISION_LOG:-$folder/decisions.jsonl}
ready=$folder/ready.json
log=$folder/log
# The server must not inherit the streams of this step, or the runner would wait for its end.
"$binary" ${args[@]+"${args[@]}"} --ready-file "$ready" </dev/null >"$folder/lines" 2>"$log" &
pid=$!

deadline=$((SECONDS + 30))
until [[ -f $ready ]]; do
  if ! kill -0 "$pid" 2>/dev/null; then
    echo "::group::the log of flag-server" >&2
    cat "$log" >&2
    echo "::endgroup::" >&2
    fail "flag-server did not start: $(sed -n '/./{p;q;}' "$log")"
  elif ((SECONDS > deadline)); then
    kill -9 "$pid"
    cat "$log" >&2
    fail "flag-server is not ready after 30 seconds"
  fi
  sleep 0.02
done
read -r _ url <"$folder/lines" # the first line is the first listener's: NAME URL
control=$(sed -n 's/^control //p' "$folder/lines")


append GITHUB_OUTPUT "url=$url"
append GITHUB_OUTPUT "ready=$(cat "$ready")"
append GITHUB_OUTPUT "pid=$pid"
append GITHUB_OUTPUT "log=$log"
append GITHUB_OUTPUT "decision-log=$FLAG_SERVER_DECISION_LOG"
append GITHUB_ENV "FLAGS_URL=$url/flags"
[[ -z $control ]] || append GITHUB_ENV "FLAGS_CONTROL_URL=$control"
append GITHUB_PATH "${binary%/*}" # for `flag-server plan` and `healthcheck`
echo "flag-server is ready:"
cat "$folder/lines"

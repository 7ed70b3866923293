# Two images, `server` and `client`, each a static program on an empty root: no shell, no library, no root user.
#
#   docker build --target server -t flag-server .
#   docker build --target client -t flag-client .
#   docker buildx build --platform linux/amd64,linux/arm64 --target server .
#
# The build runs on the builder's own platform, and compiles for the requested one.

# A release names the same image by its digest.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS toolchain
ARG BUILDARCH
ARG TARGETARCH
WORKDIR /src
# The target, and for another processor a linker and a standard library. With glibc, one flag makes programs static.
RUN set -eu; \
    case "$TARGETARCH" in \
      amd64) cpu=x86_64 ;; \
      arm64) cpu=aarch64 ;; \
      *) echo "no build for $TARGETARCH: take linux/amd64 or linux/arm64" >&2; exit 1 ;; \
    esac; \
    target="$cpu-unknown-linux-gnu"; \
    mkdir /build; \
    { echo "export CARGO_BUILD_TARGET=$target CARGO_TARGET_DIR=/build RUSTFLAGS='-C target-feature=+crt-static'"; \
      if [ "$TARGETARCH" != "$BUILDARCH" ]; then \
        apt-get -qq update >&2; \
        apt-get -qq install -y --no-install-recommends "gcc-$(echo $cpu | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross" >&2; \
        rustup target add "$target" >&2; \
        linker="$cpu-linux-gnu-gcc"; \
        echo "export CARGO_TARGET_$(echo "$target" | tr a-z- A-Z_)_LINKER=$linker CC_$(echo "$target" | tr - _)=$linker"; \
      fi; } > /build/env

# The dependencies, with empty source files: recompiled only when a manifest changes.
FROM toolchain AS dependencies
COPY Cargo.toml Cargo.lock ./
COPY flags_data/Cargo.toml flags_data/
COPY scenario/Cargo.toml scenario/
COPY host/Cargo.toml host/
COPY cli/Cargo.toml cli/
COPY server/Cargo.toml server/
COPY client/Cargo.toml client/
RUN set -eu; . /build/env; \
    for main in flags_data/build.rs flags_data/src/bin/render-flags.rs \
        server/src/bin/flag-server/main.rs client/src/bin/flag-client/main.rs; do \
      mkdir -p "$(dirname "$main")"; \
      echo 'fn main() {}' > "$main"; \
    done; \
    for package in flags_data scenario host cli server client; do \
      mkdir -p "$package/src" "$package/benches"; \
      touch "$package/src/lib.rs"; \
      for bench in $(sed -n '/^\[\[bench]]/,/^name/s/^name = "\(.*\)"/\1/p' "$package/Cargo.toml"); do \
        echo 'fn main() {}' > "$package/benches/$bench.rs"; \
      done; \
    done; \
    cargo build --profile dist --locked --bins --features png; \
    cargo clean --profile dist -p flags-data -p flag-scenario -p flag-host -p flag-cli -p flag-server -p flag-client

FROM dependencies AS build
COPY flags_data flags_data
COPY scenario scenario
COPY host host
COPY cli cli
COPY server server
COPY client client
# A release names a version of cargo-auditable, with which the programs contain the list of their packages.
ARG CARGO_AUDITABLE=
RUN set -eu; \
    [ -z "$CARGO_AUDITABLE" ] || cargo install --locked "cargo-auditable@$CARGO_AUDITABLE"; \
    . /build/env; \
    cargo ${CARGO_AUDITABLE:+auditable} build --profile dist --locked --bins --features png; \
    mv "/build/$CARGO_BUILD_TARGET/dist" /out

# The common base of both images.
FROM scratch AS base
LABEL org.opencontainers.image.source="https://github.com/flagbench/flagbench" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.vendor="The Flagbench contributors" \
      org.opencontainers.image.version="0.1.0"
USER 65532:65532
STOPSIGNAL SIGTERM

FROM base AS server
LABEL org.opencontainers.image.title="flag-server" \
      org.opencontainers.image.description="A local HTTP server of flags with reproducible latency and faults"
COPY --from=build /out/flag-server /flag-server
# Its port is published on the host's loopback by whoever runs the container, or not at all.
ENV FLAG_SERVER_BIND=0.0.0.0
EXPOSE 8000 8001 8002
HEALTHCHECK --interval=2s --timeout=3s --retries=5 CMD ["/flag-server", "healthcheck"]
ENTRYPOINT ["/flag-server"]

FROM base AS client
LABEL org.opencontainers.image.title="flag-client" \
      org.opencontainers.image.description="Races sequential, threaded and async downloads of flags, and measures them"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/flag-client /flag-client
# Its output folder: mount one here.
WORKDIR /work
ENTRYPOINT ["/flag-client"]

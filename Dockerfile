# Two images, `server` and `client`, each a static program on an empty root: no shell, no library, no root user.
#
#   docker build --target server -t flag-server .
#   docker build --target client -t flag-client .
#   docker buildx build --platform linux/amd64,linux/arm64 --target server .
#
# The build runs on the builder's own platform, and compiles for the requested one.

# A release names the same image by its digest.
ARG RUST_IMAGE=rust:1.95-slim-bookworm
FROM --platform=$BUILDPLATFORM ${RUST_IMAGE} AS build
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
    { echo "export CARGO_BUILD_TARGET=$target CARGO_TARGET_DIR=/build RUSTFLAGS='-C target-feature=+crt-static'"; \
      if [ "$TARGETARCH" != "$BUILDARCH" ]; then \
        apt-get -qq update >&2; \
        apt-get -qq install -y --no-install-recommends "gcc-$(echo $cpu | tr _ -)-linux-gnu" "libc6-dev-$TARGETARCH-cross" >&2; \
        rustup target add "$target" >&2; \
        linker="$cpu-linux-gnu-gcc"; \
        echo "export CARGO_TARGET_$(echo "$target" | tr a-z- A-Z_)_LINKER=$linker CC_$(echo "$target" | tr - _)=$linker"; \
      fi; } > /environment
COPY . .
# A release names a version of cargo-auditable, with which the programs contain the list of their packages.
ARG CARGO_AUDITABLE=
# The builder keeps the dependencies, compiled. Our own files count as changed: those of another checkout may be older than what
# it keeps, and cargo looks at nothing but the time.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build \
    set -eu; . /environment; \
    find . -type f -exec touch {} +; \
    [ -z "$CARGO_AUDITABLE" ] || cargo install --locked "cargo-auditable@$CARGO_AUDITABLE"; \
    cargo ${CARGO_AUDITABLE:+auditable} build --profile dist --locked --bins --features png; \
    mkdir /out; \
    cp "/build/$CARGO_BUILD_TARGET/dist/flag-server" "/build/$CARGO_BUILD_TARGET/dist/flag-client" /out

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

# syntax=docker/dockerfile:1

FROM rust:1.95.0-bookworm AS build
# librdkafka, SQLite and AWS-LC are compiled from source; OpenSSL and zlib are Debian's.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ gcc libssl-dev make pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
# The image has this toolchain; `rust-toolchain.toml` would fetch clippy and rustfmt on top.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /source
COPY . .
# The caches vanish after the step, so the binary is moved out within it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked -p gateway \
    && cp target/release/gateway /usr/local/bin/gateway

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gateway \
    && install -d -o 10001 -g 10001 /data
COPY --from=build /usr/local/bin/gateway /usr/local/bin/gateway
# A number, so that an orchestrator can tell that it is not root.
USER 10001:10001
# Only `standalone` writes anything; give it a volume here.
ENV DATA_DIR=/data
EXPOSE 3000 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["gateway"]
CMD ["serve"]

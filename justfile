# `just` comes as `cargo install just --locked`, `pip install rust-just`, or from most package managers.

# List the recipes.
default:
    @just --list

# Run a gateway on embedded backends; arguments go to `gateway dev`.
dev *arguments:
    script/server {{ arguments }}

# Run every check on real servers.
test:
    script/test

# Run every scenario in fixtures/; arguments go to the run on real servers.
e2e *arguments:
    script/e2e {{ arguments }}

# Run exactly what CI runs.
ci:
    .ci/run

# Format everything.
fmt:
    cargo fmt --all

# Lint everything.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Start Kafka, Redis and Postgres, and print the gateway's settings for them.
stack-up *arguments:
    cargo run --quiet --locked -p harness -- stack up {{ arguments }}

# Stop them and remove their data.
stack-down *arguments:
    cargo run --quiet --locked -p harness -- stack down {{ arguments }}

# Build the container image.
docker tag="chat-gateway":
    docker build --tag {{ tag }} .

# Sourced by the scripts beside it: finds out what a machine lacks and installs it where apt is at hand. A machine that
# lacks nothing is left alone: no package list is fetched, nothing is asked of root.

have() { command -v "$1" >/dev/null 2>&1; }

say() { printf '%s\n' "$*" >&2; }

# What `need` has found to be missing, as Debian packages.
missing=()

# need PACKAGE CHECK...: the package is missing unless the check succeeds.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

# What compiling takes: librdkafka, SQLite and AWS-LC come as C and C++ source, OpenSSL and zlib from the system.
need_for_build() {
    if ! have cargo; then
        say "Rust is not installed. Install it from https://rustup.rs, then open a new shell."
        exit 3
    fi
    need gcc have cc
    need g++ have c++
    need libc6-dev have_header stdlib.h
    need make have make
    need pkg-config have pkg-config
    need libssl-dev pkg-config --exists openssl
    need zlib1g-dev pkg-config --exists zlib
}

# What the tests take on top: the servers of `harness stack`, Node for the stock client, and a browser for the report.
need_for_tests() {
    need redis-server have_redis
    need postgresql have_postgres
    need default-jre-headless have_java
    need maven have mvn
    need nodejs have node
    need npm have npm
    need_browser
}

# Ubuntu has both as a snap only, behind packages that install it.
need_browser() {
    if is_ubuntu; then
        need chromium-browser have chromium
        need chromium-chromedriver have chromedriver
    else
        need chromium have_chromium
        need chromium-driver have chromedriver
    fi
}

is_ubuntu() { grep -qsx 'ID=ubuntu' /etc/os-release; }

have_chromium() { have chromium || have google-chrome; }

have_header() { printf '#include <%s>\n' "$1" | cc -E - ; }

have_redis() { have redis-server || have valkey-server; }

# Debian keeps the server's programs out of PATH.
have_postgres() { have psql && { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb'; }; }

# Kafka 4 runs on Java 17 or later.
have_java() {
    local version
    version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge 17 ]
}

# Installs what is missing, or says what to install and gives up with exit code 3.
install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    local root=()
    if ! have apt-get; then
        say "Missing, by their names in Debian: ${missing[*]}. Install them, then try again."
        exit 3
    elif [ "$(id -u)" -ne 0 ]; then
        if ! have sudo; then
            say "Missing: ${missing[*]}. As root: apt-get install --no-install-recommends ${missing[*]}"
            exit 3
        fi
        root=(sudo)
    fi
    say "Installing ${missing[*]}"
    # In a shell of its own, so that the trap is over when it ends.
    (
        keep_services_stopped
        "${root[@]}" apt-get update -q
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    ) </dev/null >&2
    missing=()
}

# Debian starts a server's service right after installing it. Ours run on ports of their own, so nobody asked for that.
keep_services_stopped() {
    local policy=/usr/sbin/policy-rc.d
    [ ! -e "$policy" ] || return 0
    trap '"${root[@]}" rm -f '"$policy" EXIT
    printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
    "${root[@]}" chmod 755 "$policy"
}

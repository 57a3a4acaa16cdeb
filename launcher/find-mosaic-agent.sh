# shellcheck shell=sh
# Sourced by the shims: sets MOSAIC_AGENT to the binary they belong to.
# Beside the shim, in the checkout's build, or on PATH - in this order. MOSAIC_AGENT_BIN overrules.
launcher=$(dirname -- "$(readlink -f -- "$0")")
MOSAIC_AGENT=
for candidate in "${MOSAIC_AGENT_BIN:-}" "$launcher/mosaic-agent" \
    "$launcher/../bin/mosaic-agent" "$launcher/../target/release/mosaic-agent" \
    "$(command -v mosaic-agent || true)"; do
    if [ -z "$MOSAIC_AGENT" ] && [ -n "$candidate" ] && [ -x "$candidate" ]; then
        MOSAIC_AGENT=$candidate
    fi
done
if [ -z "$MOSAIC_AGENT" ]; then
    echo "$(basename -- "$0"): there is no mosaic-agent beside this script ($launcher), in its checkout's build or on PATH" >&2
    echo "  build it (cargo build --release) or set MOSAIC_AGENT_BIN" >&2
    exit 69
fi

#!/bin/sh
# start-agent-session.sh NAME - the old launcher's name. An existing unit that calls it keeps working;
# it is `mosaic-agent launch`, with the same environment variables.
set -eu

# shellcheck source=launcher/find-mosaic-agent.sh
. "$(dirname -- "$(readlink -f -- "$0")")/find-mosaic-agent.sh"

exec "$MOSAIC_AGENT" launch "$@"

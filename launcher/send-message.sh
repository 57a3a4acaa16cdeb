#!/bin/sh
# send-message.sh: another old name of agent-send.sh, which says what it takes.
set -eu

# Not started but read: a message among the words stays in this process.
# shellcheck source=launcher/agent-send.sh
. "$(dirname -- "$(readlink -f -- "$0")")/agent-send.sh"

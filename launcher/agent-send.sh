#!/bin/sh
# agent-send.sh -t SESSION -m MESSAGE [-L SOCKET] [-S LABEL] [-H USER@HOST] [--verify] [option of `send`]...
# The old sender's name and flags; what it does, and its exit codes, are those of `mosaic-agent send`.
#   -t, -s  the agent        -m  the message; without it, standard input
#   -L  the tmux socket the agent must be on   -S  who writes   -H  the host the agent is on, over ssh
set -eu

# shellcheck source=launcher/find-mosaic-agent.sh
. "$(dirname -- "$(readlink -f -- "$0")")/find-mosaic-agent.sh"

unset message agent label
# Each word is taken from the front, and goes to the end if it is one of `send` too.
left=$#
while [ "$left" -gt 0 ]; do
    word=$1
    shift
    left=$((left - 1))
    # getopts took -mTEXT for -m TEXT, and so do we.
    case $word in
        -[mtsSLH]?*)
            value=${word#-?}
            word=${word%"$value"}
            set -- "$value" "$@"
            left=$((left + 1))
            ;;
    esac
    case $word in
        -m | -t | -s | -S | -L | -H)
            if [ "$left" -eq 0 ]; then
                echo "$(basename -- "$0"): $word needs a value" >&2
                exit 2
            fi
            value=$1
            shift
            left=$((left - 1))
            case $word in
                -m) message=$value ;;
                -t | -s) agent=$value ;;
                -S) label=$value ;;
                *) set -- "$@" "$word" "$value" ;;
            esac
            ;;
        *) set -- "$@" "$word" ;;
    esac
done
if [ -n "${label+is given}" ]; then
    set -- "$@" --from "$label"
fi
set -- "$@" -- ${agent+"$agent"} -
if [ -n "${message+is given}" ]; then
    # Never as an argument: those of a process are there for all to read.
    printf '%s' "$message" | "$MOSAIC_AGENT" send "$@"
else
    exec "$MOSAIC_AGENT" send "$@"
fi

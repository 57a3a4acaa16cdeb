//! The help of `mosaic-fleet`, one page a verb (`cli::help` says what a page is). A new verb is one more entry here,
//! with its own constant where its arguments are read if that is another file.

/// What stands before the list of verbs.
pub const HEAD: &str = "\
mosaic-fleet: sees the fleet.

Examples
  mosaic-fleet ps                  one row per agent: is it alive, what is it doing
  mosaic-fleet ps --json           the same for programs
  mosaic-fleet doctor              what is wrong with this installation, and what mends it
  mosaic-fleet demo-tui            an agent-like TUI of our own: no account, no network

Verbs (VERB --help, or help VERB, has the options and examples)
";

/// What stands between the two lists.
pub const FOR_UNITS_TITLE: &str = "\nVerbs for the units\n";

/// What stands behind them.
pub const TAIL: &str = "
Options
  --schema [THING]    print the schema of a JSON document; without THING, which there are
                      (VERB --schema: of what that verb prints with --json)
  -V, --version       print the version
  -h, --help          print this

Exit codes
   0 done   1 internal; doctor: something fails   2 usage   3 no such agent
  69 a program is missing (tmux, ssh)   75 try later   77 not permitted   78 configuration
  send: docs/exit-codes.md
";

/// The verbs for people and programs.
pub const PAGES: &[&str] = &[
    super::ps::PAGE,
    "mosaic-fleet status NAME: what the agent is doing, and why we think so

Options
  --json              as JSON
  -q, --quiet         print nothing; the exit code says whether its sidecar answers

Examples
  mosaic-fleet status coder0
  mosaic-fleet status --json coder0 | jq -r .state
",
    "mosaic-fleet probe NAME: the same, after a fresh look at its processes; also writes a heartbeat

Options
  --json              as JSON
  -q, --quiet         print nothing; the exit code says whether its sidecar answers

Examples
  mosaic-fleet probe coder0
",
    "mosaic-fleet explain (NAME | --cast FILE.cast): which rules fire on a screen, and why the state is what it is

Options
  --json              as JSON
  --cast FILE         of a recorded screen; -: on standard input
  --at SECONDS        at this moment of it; at its end if not given
  --runtime RUNTIME   the runtime in it, if the recording does not say

Examples
  mosaic-fleet explain coder0
  mosaic-fleet explain --cast coder0.cast --at 12.5
",
    super::past::TAIL_PAGE,
    super::past::EVENTS_PAGE,
    super::past::RECORD_PAGE,
    "mosaic-fleet launch [NAME]: make the tmux session that runs `mosaic-agent run NAME`; idempotent

Returns when the agent is up, or with the reason why it is not. Without NAME it is MOSAIC_AGENT_NAME.

Options
  --supervise         stay as the main process of its systemd unit (docs/systemd.md)
  -q, --quiet         print nothing when all is well

Examples
  MOSAIC_AGENT_RUNTIME=claude MOSAIC_AGENT_COMMAND='claude --model opus' mosaic-fleet launch coder0
",
    "mosaic-fleet watch NAME: its screen, live and read-only

Drawn from the sidecar's model of the screen, never resizes the agent (docs/watching.md); q leaves.

Examples
  mosaic-fleet watch coder0
",
    "mosaic-fleet attach NAME: take it over, in its tmux session, or here if it has none

One at a time. Without tmux, Ctrl-] leaves.

Options
  --steal             send the other one away

Examples
  mosaic-fleet attach coder0
",
    "mosaic-fleet screen NAME: its screen now

Options
  --json              as cells, with cursor and modes
  --svg               as a picture

Examples
  mosaic-fleet screen coder0
  mosaic-fleet screen --svg coder0 > coder0.svg
",
    super::keys::PAGE,
    super::reset::PAGE,
    "mosaic-fleet upgrade (NAME | --all): replace the running sidecar by another binary; its runtime stays

By the mosaic-agent beside this program. Connections, messages and receipts stay, and the monitor of a unit comes along
(docs/operating.md).

Options
  --to FILE           by this binary
  --all               every agent that has a heartbeat, one after the other
  --timeout SECONDS   how long a moment without a message on its way is waited for (30)
  --json              as JSON

Examples
  mosaic-fleet upgrade coder0
  mosaic-fleet upgrade --all --to ~/new/mosaic-agent
",
    "mosaic-fleet stop NAME: end an agent in order

No new messages, the end of the running turn, the runtime's own way to quit, SIGTERM, SIGKILL; of its unit, too.

Options
  --timeout SECONDS   how long a running turn may go on (30)
  --now               not at all
  --json              every step as JSON
  -q, --quiet         print nothing when all is well

Examples
  mosaic-fleet stop coder0
  mosaic-fleet stop --timeout 600 coder0
",
    "mosaic-fleet restart NAME: the same, and start it again

Options
  --timeout SECONDS   how long a running turn may go on (30)
  --now               not at all
  --json              every step as JSON
  -q, --quiet         print nothing when all is well

Examples
  mosaic-fleet restart coder0
",
    "mosaic-fleet send NAME [-m TEXT | -f FILE | -]: type a message, tell what became of it

Options
  -m, --message TEXT  the message
  -f, --file FILE     the message is in a file; - (also alone): on standard input
  --verify            wait for the verdict (else: hand over, and ask `verify` later)
  --timeout SECONDS   how long it may wait for its turn (30; a day without --verify)
  --from LABEL        who writes, for the preamble (host, and agent, tmux session or user)
  --no-preamble       type the message as it is
  --id ID             the same id is never typed twice
  --when busy=hold|type|refuse
                      while a turn runs (hold)
  --when draft=refuse|wait
                      while somebody's draft is there (refuse)
  -L, --tmux SOCKET   only if the agent is on this tmux socket
  -H, --host USER@HOST
                      to the agent of that name there, over ssh (docs/sending.md)
  --json              print the receipt as JSON
  -q, --quiet         print nothing; the exit code says it

Examples
  mosaic-fleet send --verify coder0 -m 'run the tests'
  git diff | mosaic-fleet send --verify --json coder0 -
  mosaic-fleet send --id build-17 --when busy=refuse coder0 -f report.txt
  mosaic-fleet send -H ann@box --verify coder0 -m 'the build is broken'
",
    "mosaic-fleet verify NAME (--id ID | --contains TEXT | -): the verdict of a message, whoever typed it

Options
  --id ID             the message with this id
  --contains TEXT     the newest message with this in it; -: with what is on standard input
  --since WHEN        only after this: 90s, 10m, 2h or 3d ago, or an RFC 3339 moment
  -H, --host USER@HOST
                      of the agent of that name there, over ssh (docs/sending.md)
  --json              print the receipt as JSON
  -q, --quiet         print nothing; the exit code says it

Examples
  mosaic-fleet verify coder0 --id build-17
  mosaic-fleet verify coder0 --contains 'run the tests' --since 10m
  mosaic-fleet verify -H ann@box coder0 --id build-17
",
    "mosaic-fleet hooks install|remove|status [RUNTIME]: let claude, codex, pi or opencode itself say what it took

`remove` gives its configuration back, to the byte (docs/hooks.md).

Options
  --json              as JSON

Examples
  mosaic-fleet hooks install claude
  mosaic-fleet hooks status
",
    "mosaic-fleet units install|remove|status: the systemd units of the fleet, for this user

Options
  --force             `install`: also replace units that are not ours (docs/systemd.md)
  --json              as JSON

Examples
  mosaic-fleet units install && systemctl --user enable --now mosaic-agent@coder0
",
    "mosaic-fleet replay FILE.cast: run the engine over a recording: states, and a verdict per message

FILE - is standard input. A message is judged if what was typed is in the recording, too: `record NAME start --input`, `run --record-input`.

Options
  --runtime RUNTIME   the runtime in it, if the recording does not say
  --json              a JSON object a line

Examples
  mosaic-fleet replay coder0.cast --runtime claude
",
    "mosaic-fleet doctor: what is wrong with this installation, and what mends it

Looks at tmux, systemd, linger, directories, sockets, hooks, runtimes, units, our programs and PATH; changes
nothing. Every row is ok, warn or fail; exit code 1 if one fails.

Options
  --json              as JSON

Examples
  mosaic-fleet doctor
  mosaic-fleet doctor --json | jq -r '.checks[] | select(.result == \"fail\") | .mend'
",
    "mosaic-fleet mcp: send, status, ps and tail as tools of a runtime (MCP over standard input and output)

Examples
  claude mcp add --scope user mosaic -- mosaic-fleet mcp
",
    "mosaic-fleet completions bash|zsh|fish|agents: completions of both binaries for a shell

`agents` prints the names of the agents there are, for completions of your own.

Examples
  mosaic-fleet completions bash >~/.local/share/bash-completion/completions/mosaic-agent
  mosaic-fleet completions zsh >~/.zfunc/_mosaic-agent
  mosaic-fleet completions fish >~/.config/fish/completions/mosaic-agent.fish
",
    "mosaic-fleet man [PAGE]: a manual page: mosaic-agent (default) or mosaic-fleet

Options
  --dir DIR           write all of them into this directory

Examples
  mosaic-fleet man mosaic-fleet | man -l -
  mosaic-fleet man --dir ~/.local/share/man/man1
",
    "mosaic-fleet demo-tui [OPTIONS]: the embedded demo runtime, a TUI of our own

Examples
  mosaic-agent run demo -- mosaic-fleet demo-tui
  mosaic-fleet demo-tui --help
",
];

/// The verbs that our systemd units and `mosaic-agent` call.
pub const FOR_UNITS: &[&str] = &[
    "mosaic-fleet supervise NAME: what `mosaic-agent launch --supervise NAME` and an upgraded monitor become\n",
    "mosaic-fleet end NAME: end what is left of an agent whose unit is down\n",
    "mosaic-fleet enclose NAME PID: put the process of its pane into a scope with its limits\n",
    "mosaic-fleet hold: start the tmux server of the agents\n",
];

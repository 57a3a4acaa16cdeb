//! The help of `mosaic-agent`, one page a verb (`cli::help` says what a page is). Short: it is in the tiny binary.

/// What stands before the list of verbs.
pub const HEAD: &str = "\
mosaic-agent: is this agent really alive, and did it really take my message?

Examples
  mosaic-agent launch coder0                         start the agent in its tmux session
  mosaic-agent send --verify coder0 -m 'run the tests'  type a message, wait for the verdict
  git diff | mosaic-agent send --verify --json coder0 -  the same from a pipe, receipt as JSON
  mosaic-agent status coder0                         what it is doing, and why we think so
  mosaic-agent run demo -- mosaic-fleet demo-tui     be the sidecar, here, in this terminal

Verbs (VERB --help has the options and examples)
";

/// What stands between the two lists.
pub const OF_FLEET_TITLE: &str = "\nVerbs of mosaic-fleet, which is called for them\n";

/// What stands behind them.
pub const TAIL: &str = "
Options
  --schema [THING]    print the schema of a JSON document; without THING, which there are
  -V, --version       print the version
  -h, --help          print this

Verdicts and exit codes of send and verify
   0  accepted, queued, held (held: not typed yet, in the sidecar's queue)
   5  draft      it sits, or sat, unsubmitted in the composer
   7  unknown    typed, and its fate cannot be proven; never retry blindly
  75  blocked, occupied, busy, unready: nothing was typed, try later
   6  rejected   the message itself is not acceptable
   3  gone       no such agent, no sidecar, or the runtime has ended

Other exit codes
   1 internal   2 usage   69 a program is missing (tmux)   77 not permitted   78 configuration
  run: the runtime's own code, or 128 + signal; 126 not executable, 127 not found

Environment
  See docs/operating.md (MOSAIC_AGENT_RUNTIME, MOSAIC_AGENT_COMMAND, MOSAIC_TMUX_SOCKET, ...).
";

/// The verbs that this binary performs.
pub const PAGES: &[&str] = &[
    "mosaic-agent run NAME [-- CMD ARG...]: be the sidecar of CMD in this terminal, or without one

Without CMD it is MOSAIC_AGENT_COMMAND. Ends with the runtime's own exit code.

Options
  --size COLSxROWS    of the terminal CMD gets if there is none here (120x40)

Examples
  mosaic-agent run demo -- mosaic-fleet demo-tui
  mosaic-agent run --size 100x30 coder0 -- pi </dev/null >/dev/null
",
    "mosaic-agent send NAME [-m TEXT | -f FILE | -]: type a message, tell what became of it

Options
  -m, --message TEXT  the message
  -f, --file FILE     the message is in a file; -: on standard input
  --verify            wait for the verdict (else: hand over, and ask `verify` later)
  --timeout SECONDS   how long it may wait for its turn (30; a day without --verify)
  --from LABEL        who writes, for the preamble (host, and agent or user)
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
  mosaic-agent send --verify coder0 -m 'run the tests'
  git diff | mosaic-agent send --verify --json coder0 -
  mosaic-agent send --id build-17 --when busy=refuse coder0 -f report.txt
  mosaic-agent send -H ann@box --verify coder0 -m 'the build is broken'
",
    "mosaic-agent verify NAME (--id ID | --contains TEXT): the verdict of a message, whoever typed it

Options
  --id ID             the message with this id
  --contains TEXT     the newest message with this in it
  --since WHEN        only after this: 90s, 10m or 2h ago, or an RFC 3339 moment
  --json              print the receipt as JSON
  -q, --quiet         print nothing; the exit code says it

Examples
  mosaic-agent verify coder0 --id build-17
  mosaic-agent verify coder0 --contains 'run the tests' --since 10m
",
    "mosaic-agent status NAME: what the agent is doing, and why we think so

Options
  --json              as JSON

Examples
  mosaic-agent status coder0
  mosaic-agent status --json coder0 | jq -r .state
",
    "mosaic-agent probe NAME: the same, after a fresh look at its processes; also writes a heartbeat

Options
  --json              as JSON

Examples
  mosaic-agent probe coder0
",
    "mosaic-agent tail NAME: its screen as text

Options
  -n, --lines N       only the last N rows
  --json              as JSON, with cursor and title

Examples
  mosaic-agent tail coder0 -n 20
",
    "mosaic-agent explain NAME: which rules fired on the screen, and why the state is what it is

Options
  --json              as JSON
  --cast FILE.cast    of a recorded screen instead: mosaic-fleet explain --help

Examples
  mosaic-agent explain coder0
  mosaic-agent explain --cast coder0.cast --at 12.5
",
    "mosaic-agent hook [EVENT] [JSON]: what a runtime's own hook calls: tells the sidecar, always silent, always 0

Examples
  echo '{\"hook_event_name\":\"UserPromptSubmit\",\"prompt\":\"hi\"}' | mosaic-agent hook
",
];

/// The verbs that `mosaic-fleet` performs when this binary is asked: one line each, its page has the rest.
pub const OF_FLEET: &[&str] = &[
    "mosaic-agent launch NAME: make the tmux session that runs `run NAME`; idempotent",
    "mosaic-agent watch NAME: its screen, live and read-only; never resizes it",
    "mosaic-agent attach NAME: take it over; one at a time",
    "mosaic-agent screen NAME: its screen now, as text, cells or a picture",
    "mosaic-agent upgrade NAME|--all: replace the running sidecar by another binary; its runtime stays",
    "mosaic-agent stop NAME: end it in order: drain, the turn's end, its own way to quit, TERM, KILL",
    "mosaic-agent restart NAME: the same, and start it again",
    "mosaic-agent replay FILE.cast: run the engine over a recording: states, a verdict per message",
    "mosaic-agent hooks install|remove|status [RUNTIME]: let the runtimes themselves say what they took",
    "mosaic-agent units install|remove|status: the systemd units of a fleet, for this user",
    "mosaic-agent doctor: what is wrong with this installation, and what mends it",
    "mosaic-agent completions bash|zsh|fish: completions for a shell",
    "mosaic-agent man [PAGE]: the manual pages",
];

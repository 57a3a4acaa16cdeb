//! The help of `mosaic-agent`, one page a verb (`cli::help` says what a page is). `mosaic-fleet` has it: the tiny binary
//! becomes that to show a page.

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

/// A page for every line of [`super::agent_help::OWN`].
pub const PAGES: &[&str] = &[
    "mosaic-agent run NAME [-- CMD ARG...]: be the sidecar of CMD in this terminal, or without one

Without CMD it is MOSAIC_AGENT_COMMAND. Ends with the runtime's own exit code.

Options
  --size COLSxROWS    of the terminal CMD gets if there is none here (120x40)
  --record            record its terminal to recordings/ of the run directory; --record=FILE, or =DIR: there
  --record-max BYTES  of a file (16777216; at least 262144)
  --record-input      also what is typed, passwords included

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
    "mosaic-agent hook [EVENT] [JSON]: what a runtime's own hook calls: tells the sidecar, always silent, always 0

Examples
  echo '{\"hook_event_name\":\"UserPromptSubmit\",\"prompt\":\"hi\"}' | mosaic-agent hook
",
];

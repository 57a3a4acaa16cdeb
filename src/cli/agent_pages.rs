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

Verbs (VERB --help, or help VERB, has the options and examples)
";

/// What stands between the two lists.
pub const OF_FLEET_TITLE: &str = "\nVerbs of mosaic-fleet, which is called for them\n";

/// What stands behind them.
pub const TAIL: &str = "
Options
  --schema [THING]    print the schema of a JSON document; without THING, which there are
                      (VERB --schema: of what that verb prints with --json)
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
    "mosaic-agent hook [EVENT] [JSON]: what a runtime's own hook calls: tells the sidecar, always silent, always 0

Examples
  echo '{\"hook_event_name\":\"UserPromptSubmit\",\"prompt\":\"hi\"}' | mosaic-agent hook
",
];

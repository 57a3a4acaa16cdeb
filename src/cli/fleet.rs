//! Arguments of `mosaic-fleet`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::agent::seconds;
use super::{past, show, viewing};
use crate::failure::{Failure, exit};
use crate::units::AgentName;

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Print this text.
    Help(String),
    /// One row per agent.
    Ps {
        /// As JSON.
        json: bool,
    },
    /// Install, remove or show the hooks of the runtimes.
    Hooks {
        /// What to do.
        verb: Setup,
        /// For one runtime; for all if not given.
        runtime: Option<String>,
        /// As JSON.
        json: bool,
    },
    /// Run the engine over a recording.
    Replay {
        /// The recording.
        file: PathBuf,
        /// The runtime in it, if the recording does not say.
        runtime: Option<String>,
        /// As JSON lines.
        json: bool,
    },
    /// Show what an agent does, and why we think so.
    Show(show::Verb),
    /// Put our systemd units in place, take them away, or show them.
    Units {
        /// Which of these.
        verb: Setup,
        /// Replace files that are not ours.
        force: bool,
        /// As JSON.
        json: bool,
    },
    /// Make the tmux session that runs an agent.
    Launch(super::launch::Options),
    /// Be the main process of an agent's unit.
    Supervise(AgentName),
    /// End what is left of an agent whose unit is down.
    End(AgentName),
    /// Put an agent's process into a scope of its own.
    Enclose(AgentName, i32),
    /// End an agent in order.
    Stop {
        /// The agent.
        name: AgentName,
        /// How long a running turn may go on; the usual time if not given.
        turn: Option<Duration>,
        /// As JSON.
        json: bool,
    },
    /// The same, and start it again.
    Restart {
        /// The agent.
        name: AgentName,
        /// As for `Stop`.
        turn: Option<Duration>,
        /// As JSON.
        json: bool,
    },
    /// Tell what has happened.
    Past(past::Verb),
    /// Replace running sidecars by another binary.
    Upgrade(super::upgrade::Options),
    /// Look at one agent, or take it over.
    View(viewing::Verb),
    /// Start the tmux server that the agents live on.
    Hold,
    /// Be the embedded demo runtime, with these arguments.
    DemoTui(Vec<OsString>),
}

/// What to do with hooks or units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Put them in place.
    Install,
    /// Take them away.
    Remove,
    /// Say what is there.
    Status,
}

/// The text of `--help`.
pub const HELP: &str = "\
mosaic-fleet: sees the fleet.

Examples
  mosaic-fleet ps                  one row per agent: is it alive, what is it doing
  mosaic-fleet ps --json           the same for programs
  mosaic-fleet demo-tui            an agent-like TUI of our own: no account, no network

Verbs
  ps [--json]                      agents by their heartbeats, joined with sidecar and tmux
  status NAME, probe NAME          state and why; probe looks afresh and writes a heartbeat
  explain NAME                     which rules fire on its screen, and why
  events NAME | --all              state changes, receipts and control acts as JSON lines, as they happen;
                                   --after CURSOR, --kinds, --exec CMD, --notify (events --help)
  tail NAME [-n N] [--follow] [--ansi]   the screen and what has left it, as text (tail --help)
  watch NAME                       its screen, live and read-only; never resizes it; q leaves
  attach NAME [--steal]            take it over: in its tmux session, or here if it has none (Ctrl-] leaves);
                                   one at a time, --steal sends the other one away
  screen NAME [--json|--svg]       its screen now: text, cells with cursor and modes, a picture
  record NAME start|stop|status    record its terminal as asciicast 3 (record --help)
  hooks install [RUNTIME]          let claude, codex, pi or opencode itself say which prompts it took
  hooks remove [RUNTIME]           give its configuration back, to the byte
  hooks status [RUNTIME]           what is installed where; all three take --json (docs/hooks.md)
  launch NAME                      make the tmux session that runs `mosaic-agent run NAME`; idempotent
      --supervise                  stay as the main process of its systemd unit; --quiet
  units install|remove|status [--json]   the systemd units of the fleet, for this user (docs/systemd.md);
                                   install --force also replaces units that are not ours
  stop NAME                        no new messages, the end of the running turn, the runtime's own way to
                                   quit, SIGTERM, SIGKILL; of its unit, too
      --timeout SECONDS            how long a running turn may go on (default 30); --now: not at all
  restart NAME                     the same, and start it again; both take --json
  upgrade NAME|--all               replace the running sidecar by the mosaic-agent beside this program; its runtime,
                                   connections and messages stay
      --to FILE                    by this binary
      --timeout SECONDS            how long a moment without a message on its way is waited for (30); --json
  replay FILE.cast [--runtime R]   run the engine over a recording: states, and a verdict per message
  explain --cast FILE.cast [--at SECONDS] [--runtime R]   which rules fire on a recorded screen, and why;
                                   both take --json
  demo-tui [OPTIONS]               the embedded demo runtime (demo-tui --help for its options)

For the units
  supervise NAME                   what `mosaic-agent launch --supervise NAME` becomes
  end NAME                         end what is left of an agent whose unit is down
  enclose NAME PID                 put the process of its pane into a scope with its limits
  hold                             start the tmux server of the agents

Exit codes: 0 done, 1 internal, 2 usage, 69 tmux is missing, 78 configuration.
";

/// Reads the command line.
///
/// # Errors
/// [`exit::USAGE`] with what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Verb, Failure> {
    read(lexopt::Parser::from_iter(args)).map_err(|e| {
        Failure::new(exit::USAGE, "", e).hint("`mosaic-fleet --help` shows all verbs and options")
    })
}

fn read(mut parser: lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let verb = match parser.next()? {
        Some(Value(verb)) => verb.string()?,
        Some(Long("help") | Short('h')) | None => return Ok(Verb::Help(HELP.into())),
        Some(Long("version") | Short('V')) => {
            return Ok(Verb::Help(format!(
                "mosaic-fleet {}\n",
                env!("CARGO_PKG_VERSION")
            )));
        }
        Some(other) => return Err(other.unexpected()),
    };
    match verb.as_str() {
        "help" => Ok(Verb::Help(HELP.into())),
        "demo-tui" => Ok(Verb::DemoTui(parser.raw_args()?.collect())),
        "ps" => {
            let mut json = false;
            while let Some(arg) = parser.next()? {
                match arg {
                    Long("json") => json = true,
                    Long("help") | Short('h') => return Ok(Verb::Help(HELP.into())),
                    other => return Err(other.unexpected()),
                }
            }
            Ok(Verb::Ps { json })
        }
        "events" => Ok(match past::read_events(&mut parser)? {
            Some(options) => Verb::Past(past::Verb::Events(options)),
            None => Verb::Help(past::EVENTS_HELP.into()),
        }),
        "tail" => Ok(match past::read_tail(&mut parser)? {
            Some(options) => Verb::Past(past::Verb::Tail(options)),
            None => Verb::Help(past::TAIL_HELP.into()),
        }),
        "record" => Ok(match past::read_record(&mut parser)? {
            Some(options) => Verb::Past(past::Verb::Record(options)),
            None => Verb::Help(past::RECORD_HELP.into()),
        }),
        "hooks" => read_hooks(&mut parser),
        "replay" => read_replay(&mut parser),
        "status" | "probe" => show::read_status(&mut parser, verb == "probe").map(shown),
        "explain" => show::read_explain(&mut parser).map(shown),
        "units" => read_units(&mut parser),
        "launch" => Ok(match super::launch::read(&mut parser)? {
            Some(options) => Verb::Launch(options),
            None => Verb::Help(HELP.into()),
        }),
        "upgrade" => Ok(match super::upgrade::read(&mut parser)? {
            Some(options) => Verb::Upgrade(options),
            None => Verb::Help(HELP.into()),
        }),
        "attach" | "screen" | "watch" => Ok(match viewing::read(&verb, &mut parser)? {
            Some(verb) => Verb::View(verb),
            None => Verb::Help(HELP.into()),
        }),
        "stop" | "restart" => read_stop(&mut parser, &verb),
        "supervise" => Ok(Verb::Supervise(read_agent(&mut parser)?)),
        "end" => Ok(Verb::End(read_agent(&mut parser)?)),
        "enclose" => {
            let name = read_agent(&mut parser)?;
            Ok(Verb::Enclose(name, parser.value()?.parse()?))
        }
        "hold" => match parser.next()? {
            None => Ok(Verb::Hold),
            Some(other) => Err(other.unexpected()),
        },
        other => Err(format!("there is no verb {other:?}").into()),
    }
}

fn shown(verb: Option<show::Verb>) -> Verb {
    verb.map_or_else(|| Verb::Help(show::HELP.into()), Verb::Show)
}

fn read_replay(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let (mut file, mut runtime, mut json) = (None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("runtime") => runtime = Some(parser.value()?.string()?),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(Verb::Help(HELP.into())),
            Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Verb::Replay {
        file: file.ok_or("which recording? A file is missing")?,
        runtime,
        json,
    })
}

fn read_hooks(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let (mut verb, mut runtime, mut json) = (None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(Verb::Help(HELP.into())),
            Value(word) if verb.is_none() => verb = Some(setup("hooks", &word.string()?)?),
            Value(name) if runtime.is_none() => runtime = Some(name.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Verb::Hooks {
        verb: verb.ok_or("what about the hooks? install, remove or status")?,
        runtime,
        json,
    })
}

fn read_agent(parser: &mut lexopt::Parser) -> Result<AgentName, lexopt::Error> {
    match parser.next()? {
        Some(Value(name)) => AgentName::new(&name.string()?).map_err(Into::into),
        Some(other) => Err(other.unexpected()),
        None => Err("which agent? A name is missing".into()),
    }
}

fn read_stop(parser: &mut lexopt::Parser, verb: &str) -> Result<Verb, lexopt::Error> {
    let (mut name, mut turn, mut json) = (None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("timeout") => turn = Some(seconds(&parser.value()?.string()?)?),
            Long("now") => turn = Some(Duration::ZERO),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(Verb::Help(HELP.into())),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    let name = name.ok_or("which agent? A name is missing")?;
    Ok(match verb {
        "stop" => Verb::Stop { name, turn, json },
        _ => Verb::Restart { name, turn, json },
    })
}

fn read_units(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let (mut verb, mut force, mut json) = (None, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            Long("force") if verb == Some(Setup::Install) => force = true,
            Long("help") | Short('h') => return Ok(Verb::Help(HELP.into())),
            Value(word) if verb.is_none() => verb = Some(setup("units", &word.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Verb::Units {
        verb: verb.ok_or("what about the units? install, remove or status")?,
        force,
        json,
    })
}

fn setup(of: &str, word: &str) -> Result<Setup, lexopt::Error> {
    match word {
        "install" => Ok(Setup::Install),
        "remove" => Ok(Setup::Remove),
        "status" => Ok(Setup::Status),
        other => Err(format!("{of} {other:?}? There are install, remove and status").into()),
    }
}

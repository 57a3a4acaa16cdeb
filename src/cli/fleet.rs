//! Arguments of `mosaic-fleet`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::fleet_pages::{FOR_UNITS, FOR_UNITS_TITLE, HEAD, PAGES, TAIL};
use super::help;
use super::send::{self, seconds};
use super::tell::Tell;
use super::{agent_help, agent_pages};
use super::{past, schema, show, viewing};
use crate::failure::{Failure, exit};
use crate::units::AgentName;

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Print this text.
    Help(String),
    /// One row per agent.
    Ps(super::ps::PsOptions),
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
    Supervise(super::supervise::Options),
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
        /// What to print.
        tell: Tell,
    },
    /// The same, and start it again.
    Restart {
        /// The agent.
        name: AgentName,
        /// As for `Stop`.
        turn: Option<Duration>,
        /// What to print.
        tell: Tell,
    },
    /// Tell what has happened.
    Past(past::Verb),
    /// Type deliberate keys into an agent.
    Keys(super::keys::Options),
    /// Type the runtime's own reset command, and prove that it worked.
    Reset(super::reset::Options),
    /// Replace running sidecars by another binary.
    Upgrade(super::upgrade::Options),
    /// Look at one agent, or take it over.
    View(viewing::Verb),
    /// Deliver a message, or say what became of one.
    Send(send::Verb),
    /// Be a tool server for a runtime.
    Mcp,
    /// Say what is wrong with this installation.
    Doctor {
        /// As JSON.
        json: bool,
    },
    /// Print completions for a shell, or what they ask for.
    Completions(Wanted),
    /// Print a manual page.
    Man {
        /// The page.
        page: Manual,
        /// Write all of them into this directory instead.
        dir: Option<PathBuf>,
    },
    /// Print the schema of this thing, or which there are.
    Schema(Option<String>),
    /// Start the tmux server that the agents live on.
    Hold,
    /// Be the embedded demo runtime, with these arguments.
    DemoTui(Vec<OsString>),
}

/// For whom completions are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// One of them wants to know which agents there are.
    Agents,
}

/// The manual pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manual {
    /// mosaic-agent(1).
    Agent,
    /// mosaic-fleet(1).
    Fleet,
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
fn overview() -> String {
    let verbs = help::list(PAGES);
    let for_units = help::list(FOR_UNITS);
    [HEAD, &verbs, FOR_UNITS_TITLE, &for_units, TAIL].concat()
}

/// The text of `mosaic-agent --help`.
fn agent_overview() -> String {
    let own = help::list(agent_help::OWN);
    let ours = help::list(agent_help::OF_FLEET);
    let (head, title, tail) = (
        agent_pages::HEAD,
        agent_pages::OF_FLEET_TITLE,
        agent_pages::TAIL,
    );
    [head, &own, title, &ours, tail].concat()
}

/// The page of a verb.
fn page(verb: &str) -> Option<&'static str> {
    help::find(PAGES, verb).or_else(|| help::find(FOR_UNITS, verb))
}

/// Reads the command line.
///
/// # Errors
/// [`exit::USAGE`] with what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Verb, Failure> {
    let args: Vec<OsString> = args.into_iter().collect();
    let verb = args.get(1).and_then(|word| word.to_str());
    let hint = match verb.filter(|verb| page(verb).is_some()) {
        Some(verb) => format!("`mosaic-fleet {verb} --help` shows its options, with examples"),
        None => "`mosaic-fleet --help` shows all verbs".to_owned(),
    };
    read(lexopt::Parser::from_iter(args)).map_err(|e| Failure::new(exit::USAGE, "", e).hint(hint))
}

fn read(mut parser: lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let verb = match parser.next()? {
        Some(Value(verb)) => verb.string()?,
        Some(Long("help") | Short('h')) | None => return Ok(Verb::Help(overview())),
        Some(Long("version") | Short('V')) => {
            return Ok(Verb::Help(format!(
                "mosaic-fleet {}\n",
                env!("CARGO_PKG_VERSION")
            )));
        }
        Some(Long("schema")) => return read_schema(&mut parser),
        Some(other) => return Err(other.unexpected()),
    };
    if verb == "help" {
        return read_help(&mut parser);
    }
    let page = page(&verb).ok_or_else(|| format!("there is no verb {verb:?}"))?;
    let args: Vec<OsString> = parser.raw_args()?.collect();
    // The demo has a help of its own.
    let asks = args.first().is_some_and(|a| a == "--help" || a == "-h");
    if asks && verb != "demo-tui" {
        return Ok(Verb::Help(page.into()));
    }
    if let Some(thing) = schema::of_verb(&verb).filter(|_| schema::is_asked(&args)) {
        return Ok(Verb::Schema(Some(thing.into())));
    }
    let mut parser = lexopt::Parser::from_args(args);
    match verb.as_str() {
        "demo-tui" => Ok(Verb::DemoTui(parser.raw_args()?.collect())),
        "ps" => Ok(match super::ps::read(&mut parser)? {
            Some(options) => Verb::Ps(options),
            None => Verb::Help(page.into()),
        }),
        "hooks" => read_hooks(&mut parser, page),
        "replay" => read_replay(&mut parser, page),
        "units" => read_units(&mut parser, page),
        "send" => send::read_send(&mut parser)
            .map(|verb| verb.map_or_else(|| Verb::Help(page.into()), Verb::Send)),
        "verify" => send::read_verify(&mut parser)
            .map(|verb| verb.map_or_else(|| Verb::Help(page.into()), Verb::Send)),
        "stop" | "restart" => read_stop(&mut parser, &verb, page),
        "events" => Ok(match past::read_events(&mut parser)? {
            Some(options) => Verb::Past(past::Verb::Events(options)),
            None => Verb::Help(page.into()),
        }),
        "tail" => Ok(match past::read_tail(&mut parser)? {
            Some(options) => Verb::Past(past::Verb::Tail(options)),
            None => Verb::Help(page.into()),
        }),
        "status" | "probe" => show::read_status(&mut parser, verb == "probe")
            .map(|shown| shown.map_or_else(|| Verb::Help(page.into()), Verb::Show)),
        "explain" => show::read_explain(&mut parser)
            .map(|shown| shown.map_or_else(|| Verb::Help(page.into()), Verb::Show)),
        "record" => Ok(match past::read_record(&mut parser)? {
            Some(options) => Verb::Past(past::Verb::Record(options)),
            None => Verb::Help(page.into()),
        }),
        "launch" => Ok(match super::launch::read(&mut parser)? {
            Some(options) => Verb::Launch(options),
            None => Verb::Help(page.into()),
        }),
        "keys" => Ok(match super::keys::read(&mut parser)? {
            Some(options) => Verb::Keys(options),
            None => Verb::Help(page.into()),
        }),
        "reset" => Ok(match super::reset::read(&mut parser)? {
            Some(options) => Verb::Reset(options),
            None => Verb::Help(page.into()),
        }),
        "upgrade" => Ok(match super::upgrade::read(&mut parser)? {
            Some(options) => Verb::Upgrade(options),
            None => Verb::Help(page.into()),
        }),
        "attach" | "screen" | "watch" => Ok(match viewing::read(&verb, &mut parser)? {
            Some(verb) => Verb::View(verb),
            None => Verb::Help(page.into()),
        }),
        "supervise" => super::supervise::read(&mut parser).map(Verb::Supervise),
        "end" => Ok(Verb::End(read_agent(&mut parser)?)),
        "enclose" => {
            let name = read_agent(&mut parser)?;
            Ok(Verb::Enclose(name, parser.value()?.parse()?))
        }
        "doctor" => read_doctor(&mut parser, page),
        "completions" => read_completions(&mut parser, page),
        "man" => read_man(&mut parser, page),
        "mcp" => match parser.next()? {
            None => Ok(Verb::Mcp),
            Some(other) => Err(other.unexpected()),
        },
        "hold" => match parser.next()? {
            None => Ok(Verb::Hold),
            Some(other) => Err(other.unexpected()),
        },
        other => Err(format!("there is no verb {other:?}").into()),
    }
}

fn read_replay(parser: &mut lexopt::Parser, page: &str) -> Result<Verb, lexopt::Error> {
    let (mut file, mut runtime, mut json) = (None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("runtime") => runtime = Some(parser.value()?.string()?),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(Verb::Help(page.into())),
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

fn read_hooks(parser: &mut lexopt::Parser, page: &str) -> Result<Verb, lexopt::Error> {
    let (mut verb, mut runtime, mut json) = (None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(Verb::Help(page.into())),
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

fn read_stop(parser: &mut lexopt::Parser, verb: &str, page: &str) -> Result<Verb, lexopt::Error> {
    let (mut name, mut turn, mut json, mut quiet) = (None, None, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("timeout") => turn = Some(seconds(&parser.value()?.string()?)?),
            Long("now") => turn = Some(Duration::ZERO),
            Long("json") => json = true,
            Long("quiet") | Short('q') => quiet = true,
            Long("help") | Short('h') => return Ok(Verb::Help(page.into())),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    let name = name.ok_or("which agent? A name is missing")?;
    let tell = Tell::of(json, quiet);
    Ok(match verb {
        "stop" => Verb::Stop { name, turn, tell },
        _ => Verb::Restart { name, turn, tell },
    })
}

fn read_units(parser: &mut lexopt::Parser, page: &str) -> Result<Verb, lexopt::Error> {
    let (mut verb, mut force, mut json) = (None, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            Long("force") => force = true,
            Long("help") | Short('h') => return Ok(Verb::Help(page.into())),
            Value(word) if verb.is_none() => verb = Some(setup("units", &word.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    let verb = verb.ok_or("what about the units? install, remove or status")?;
    if force && verb != Setup::Install {
        return Err("--force goes with install".into());
    }
    Ok(Verb::Units { verb, force, json })
}

/// `help`, `help VERB` (that is `VERB --help`), and `help mosaic-agent [VERB]`, which that program asks for.
fn read_help(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let words: Vec<OsString> = parser.raw_args()?.collect();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    match &words[..] {
        [] => Ok(Verb::Help(overview())),
        [program] if program == "mosaic-agent" => Ok(Verb::Help(agent_overview())),
        [verb] => read(lexopt::Parser::from_args([verb.as_ref(), "--help"])),
        [program, verb] if program == "mosaic-agent" => {
            let found = help::find(agent_pages::PAGES, verb)
                .or_else(|| page(verb))
                .ok_or_else(|| format!("there is no verb {verb:?}"))?;
            Ok(Verb::Help(found.into()))
        }
        [_, other, ..] => Err(format!("one verb at a time, and not {other:?}").into()),
    }
}

fn read_schema(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let mut thing = parser.optional_value();
    while let Some(arg) = parser.next()? {
        match arg {
            Value(value) if thing.is_none() => thing = Some(value),
            other => return Err(other.unexpected()),
        }
    }
    let thing = thing.map(ValueExt::string).transpose()?;
    Ok(Verb::Schema(thing))
}

fn read_doctor(parser: &mut lexopt::Parser, page: &str) -> Result<Verb, lexopt::Error> {
    let mut json = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(Verb::Help(page.into())),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Verb::Doctor { json })
}

fn read_completions(parser: &mut lexopt::Parser, page: &str) -> Result<Verb, lexopt::Error> {
    let mut wanted = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Verb::Help(page.into())),
            Value(word) if wanted.is_none() => {
                wanted = Some(match word.string()?.as_str() {
                    "bash" => Wanted::Bash,
                    "zsh" => Wanted::Zsh,
                    "fish" => Wanted::Fish,
                    "agents" => Wanted::Agents,
                    other => {
                        let said = format!("completions for {other:?}? There are bash, zsh, fish");
                        return Err(said.into());
                    }
                });
            }
            other => return Err(other.unexpected()),
        }
    }
    let wanted = wanted.ok_or("completions for which shell? bash, zsh or fish")?;
    Ok(Verb::Completions(wanted))
}

fn read_man(parser: &mut lexopt::Parser, page: &str) -> Result<Verb, lexopt::Error> {
    let (mut manual, mut dir) = (None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("help") | Short('h') => return Ok(Verb::Help(page.into())),
            Long("dir") => dir = Some(PathBuf::from(parser.value()?)),
            Value(word) if manual.is_none() => {
                manual = Some(match word.string()?.as_str() {
                    "mosaic-agent" => Manual::Agent,
                    "mosaic-fleet" => Manual::Fleet,
                    other => {
                        let said =
                            format!("no page {other:?}: there are mosaic-agent and mosaic-fleet");
                        return Err(said.into());
                    }
                });
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Verb::Man {
        page: manual.unwrap_or(Manual::Agent),
        dir,
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

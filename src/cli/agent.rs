//! Arguments of `mosaic-agent`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use super::agent_help::{OF_FLEET, OWN};
use super::help;
use crate::failure::{Failure, exit};
use crate::units::{AgentName, TermSize, recording_size};

/// What `run` was asked for.
#[derive(Debug, Default)]
pub struct RunOptions {
    /// The agent's name.
    pub name: Option<AgentName>,
    /// The launcher's socket, if `launch` started us.
    pub handoff: Option<PathBuf>,
    /// The descriptor of what the sidecar before hands over, in an upgrade.
    pub take_over: Option<i32>,
    /// Only say whether what stands on standard input could be taken over.
    pub can_take_over: bool,
    /// The runtime's name as the pane should show it.
    pub shown_as: Option<String>,
    /// The size of the runtime's terminal where there is no terminal here.
    pub size: Option<TermSize>,
    /// Whether its terminal is recorded, and how.
    pub record: RecordOptions,
    /// The runtime's command, if given after `--`.
    pub command: Vec<OsString>,
}

/// How a terminal is recorded.
#[derive(Clone, Debug, Default)]
pub struct RecordOptions {
    /// A file, or a directory for one; empty for the usual place; none if it was not asked for.
    pub path: Option<PathBuf>,
    /// What is typed is recorded, too.
    pub input: bool,
    /// Most bytes of a file.
    pub max: Option<u64>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Print this text.
    Help(String),
    /// Print the list of verbs, and all else that `--help` says.
    Overview,
    /// Print the page of the verb that this line is about.
    Page(&'static str),
    /// Be the sidecar.
    Run(RunOptions),
    /// Tell the sidecar what the runtime's own hook says, with these arguments.
    Hook(Vec<OsString>),
    /// What `mosaic-fleet` does, with this verb and these arguments.
    OfFleet(Vec<OsString>),
}

/// Reads the command line.
///
/// # Errors
/// [`exit::USAGE`] with what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Verb, Failure> {
    let args: Vec<OsString> = args.into_iter().collect();
    let hint = match args.get(1).is_some_and(|verb| verb == "run") {
        true => "`mosaic-agent run --help` shows its options, with examples",
        false => "`mosaic-agent --help` shows all verbs; `ps` and `mcp` are of mosaic-fleet",
    };
    read(lexopt::Parser::from_iter(args)).map_err(|e| Failure::new(exit::USAGE, "", e).hint(hint))
}

fn read(mut parser: lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let verb = match parser.next()? {
        Some(Value(verb)) => verb.string()?,
        Some(Long("help") | Short('h')) | None => return Ok(Verb::Overview),
        Some(Long("version") | Short('V')) => {
            return Ok(Verb::Help(format!(
                "mosaic-agent {}\n",
                env!("CARGO_PKG_VERSION")
            )));
        }
        Some(Long("schema")) => {
            let mut args: Vec<OsString> = parser.optional_value().into_iter().collect();
            args.extend(parser.raw_args()?);
            return of_fleet("--schema", args);
        }
        Some(other) => return Err(other.unexpected()),
    };
    match verb.as_str() {
        "help" => read_help(&mut parser),
        "run" => read_run(&mut parser),
        "hook" => read_hook(&mut parser),
        other if help::find(OF_FLEET, other).is_some() => {
            of_fleet(other, parser.raw_args()?.collect())
        }
        other => Err(format!("there is no verb {other:?}").into()),
    }
}

fn agent(value: OsString) -> Result<AgentName, lexopt::Error> {
    AgentName::new(&value.string()?).map_err(Into::into)
}

fn page(verb: &str) -> Verb {
    Verb::Page(help::find(OWN, verb).unwrap_or_default())
}

/// `help VERB` is `VERB --help`.
fn read_help(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let mut words = parser.raw_args()?;
    let Some(verb) = words.next() else {
        return Ok(Verb::Overview);
    };
    match words.next() {
        None => read(lexopt::Parser::from_args([verb, "--help".into()])),
        Some(other) => Err(format!("one verb at a time, and not {other:?}").into()),
    }
}

fn read_run(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let mut options = RunOptions::default();
    loop {
        // Everything after `--` is the command, options of it included; ours stand before it, on either side of the name.
        if let Some(mut rest) = parser.try_raw_args()
            && rest.next_if(|word| word == "--").is_some()
        {
            options.command = rest.collect();
            break;
        }
        let Some(arg) = parser.next()? else { break };
        match arg {
            Long("handoff") => options.handoff = Some(PathBuf::from(parser.value()?)),
            Long("take-over") => options.take_over = Some(parser.value()?.parse()?),
            Long("can-take-over") => options.can_take_over = true,
            Long("size") => options.size = Some(TermSize::parse(&parser.value()?.string()?)?),
            Long("as") => options.shown_as = Some(parser.value()?.string()?),
            Long("record") => {
                options.record.path = Some(parser.optional_value().unwrap_or_default().into());
            }
            Long("record-input") => options.record.input = true,
            Long("record-max") => {
                options.record.max = Some(recording_size(parser.value()?.parse()?)?);
            }
            Long("help") | Short('h') => return Ok(page("run")),
            Value(name) if options.name.is_none() => {
                options.name = Some(agent(name)?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Verb::Run(options))
}

fn read_hook(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let args: Vec<OsString> = parser.raw_args()?.collect();
    Ok(match args.as_slice() {
        [only] if only == "--help" || only == "-h" => page("hook"),
        _ => Verb::Hook(args),
    })
}

fn of_fleet(verb: &str, args: Vec<OsString>) -> Result<Verb, lexopt::Error> {
    let verb = std::iter::once(verb.into());
    Ok(Verb::OfFleet(verb.chain(args).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(line: &str) -> Result<Verb, Failure> {
        parse(
            std::iter::once("mosaic-agent")
                .chain(line.split_whitespace())
                .map(OsString::from),
        )
    }

    #[test]
    fn a_command_after_two_dashes_keeps_its_own_options() {
        let Ok(Verb::Run(run)) = verb("run demo -- pi --model x -- -y") else {
            panic!("not a run")
        };
        assert_eq!(run.command, ["pi", "--model", "x", "--", "-y"]);
    }

    #[test]
    fn options_of_run_stand_on_either_side_of_the_name_and_the_name_may_come_from_elsewhere() {
        for (line, name) in [
            ("run --size 90x30 demo -- pi -x", Some("demo")),
            ("run demo --size=90x30 -- pi -x", Some("demo")),
            ("run --size 90x30 -- pi -x", None),
        ] {
            let Ok(Verb::Run(run)) = verb(line) else {
                panic!("not a run: {line}")
            };
            assert_eq!(run.name.as_ref().map(AgentName::as_str), name, "{line}");
            assert_eq!(run.command, ["pi", "-x"], "{line}");
            assert_eq!(run.size, TermSize::parse("90x30").ok(), "{line}");
        }
    }

    #[test]
    fn wrong_words_are_usage_errors_and_nothing_else() {
        for line in [
            "fly",
            "run a b",
            "run a/b",
            "run --nope a",
            "help fly",
            "help run send",
        ] {
            match verb(line) {
                Err(failure) => assert_eq!(failure.exit, exit::USAGE, "{line}"),
                Ok(verb) => panic!("{line}: {verb:?}"),
            }
        }
    }

    #[test]
    fn every_line_of_the_help_has_a_verb() {
        for line in OWN {
            let v = help::verb(line);
            let Ok(Verb::Page(page)) = verb(&format!("{v} --help")) else {
                panic!("{v} has no help")
            };
            assert_eq!(page, *line);
            let asked = verb(&format!("help {v}"));
            assert!(
                matches!(asked, Ok(Verb::Page(page)) if page == *line),
                "{v}"
            );
        }
        for line in OF_FLEET {
            let v = help::verb(line);
            assert!(
                matches!(verb(&format!("help {v}")), Ok(Verb::OfFleet(args)) if args == [v, "--help"]),
                "{v}"
            );
            assert!(
                matches!(verb(v), Ok(Verb::OfFleet(args)) if args == [v]),
                "{v}"
            );
        }
    }
}

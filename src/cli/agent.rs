//! Arguments of `mosaic-agent`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lexopt::prelude::*;

use super::agent_help::{OF_FLEET, OWN};
use super::help;
use crate::failure::{Failure, exit};
use crate::units::{AgentName, TermSize};

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

/// Where the message comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Given with `-m`.
    Text(String),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// What `send` was asked for.
#[derive(Debug, Clone)]
pub struct SendOptions {
    /// To whom.
    pub name: AgentName,
    /// What.
    pub body: Body,
    /// Wait for the verdict.
    pub verify: bool,
    /// How long it may wait for its turn.
    pub timeout: Option<Duration>,
    /// Who writes; found out if not given.
    pub from: Option<String>,
    /// Type the message without a preamble.
    pub bare: bool,
    /// The message's id.
    pub id: Option<String>,
    /// `hold`, `type` or `refuse`.
    pub when_busy: Option<String>,
    /// `refuse` or `wait`.
    pub when_draft: Option<String>,
    /// The tmux socket the agent must be on (`tmux -L`).
    pub tmux: Option<String>,
    /// The host the agent is on, as ssh knows it.
    pub host: Option<String>,
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
    /// Deliver a message.
    Send {
        /// The message and how to treat it.
        options: SendOptions,
        /// Print the receipt as JSON.
        json: bool,
        /// Print nothing.
        quiet: bool,
    },
    /// Ask for a message's verdict.
    Verify {
        /// The agent.
        name: AgentName,
        /// The message's id.
        id: Option<String>,
        /// Or a part of its text.
        contains: Option<String>,
        /// Only messages after this moment.
        since: Option<SystemTime>,
        /// Print the receipt as JSON.
        json: bool,
        /// Print nothing.
        quiet: bool,
    },
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
    read(lexopt::Parser::from_iter(args)).map_err(|e| {
        Failure::new(exit::USAGE, "", e).hint("`mosaic-agent --help` shows all verbs and options")
    })
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
        "help" => Ok(Verb::Overview),
        "run" => read_run(&mut parser),
        "send" => {
            let args: Vec<OsString> = parser.raw_args()?.collect();
            match read_send(&mut lexopt::Parser::from_args(args.clone()))? {
                Verb::Send { options, .. } if options.host.is_some() || options.tmux.is_some() => {
                    of_fleet("send", args)
                }
                verb => Ok(verb),
            }
        }
        "verify" => read_verify(&mut parser),
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

fn needed(name: Option<AgentName>) -> Result<AgentName, lexopt::Error> {
    name.ok_or_else(|| "which agent? A name is missing".into())
}

fn page(verb: &str) -> Verb {
    Verb::Page(help::find(OWN, verb).unwrap_or_default())
}

fn read_run(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let mut options = RunOptions::default();
    while let Some(arg) = parser.next()? {
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
            Long("record-max") => options.record.max = Some(parser.value()?.parse()?),
            Long("help") | Short('h') => return Ok(page("run")),
            Value(name) if options.name.is_none() => {
                options.name = Some(agent(name)?);
                // Everything after `--` is the command, options of it included.
                if let Some(mut rest) = parser.try_raw_args()
                    && rest.peek().is_some_and(|a| a == "--")
                {
                    rest.next();
                    options.command = rest.collect();
                }
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Verb::Run(options))
}

pub(super) fn read_send(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let (mut name, mut body, mut json, mut quiet) = (None, None, false, false);
    let (mut verify, mut timeout, mut from, mut bare, mut id) = (false, None, None, false, None);
    let (mut when_busy, mut when_draft, mut tmux, mut host) = (None, None, None, None);
    while let Some(arg) = parser.next()? {
        let mut given = None;
        match arg {
            Short('m') | Long("message") => given = Some(Body::Text(parser.value()?.string()?)),
            Short('f') | Long("file") => given = Some(Body::File(PathBuf::from(parser.value()?))),
            Value(value) if value == "-" => given = Some(Body::Stdin),
            Long("verify") => verify = true,
            Long("timeout") => timeout = Some(seconds(&parser.value()?.string()?)?),
            Long("from") => from = Some(parser.value()?.string()?),
            Short('L') | Long("tmux") => tmux = Some(parser.value()?.string()?),
            Short('H') | Long("host") => host = Some(parser.value()?.string()?),
            Long("no-preamble") => bare = true,
            Long("id") => id = Some(message_id(parser.value()?.string()?)?),
            Long("when") => match parser.value()?.string()?.split_once('=') {
                Some(("busy", how @ ("hold" | "type" | "refuse"))) => {
                    when_busy = Some(how.to_owned())
                }
                Some(("draft", how @ ("refuse" | "wait"))) => when_draft = Some(how.to_owned()),
                _ => return Err("--when takes busy=hold|type|refuse or draft=refuse|wait".into()),
            },
            Long("json") => json = true,
            Long("quiet") | Short('q') => quiet = true,
            Long("help") | Short('h') => return Ok(page("send")),
            Value(value) if name.is_none() => name = Some(agent(value)?),
            other => return Err(other.unexpected()),
        }
        if given.is_some() && std::mem::replace(&mut body, given).is_some() {
            return Err("one message at a time: -m, -f or -".into());
        }
    }
    Ok(Verb::Send {
        options: SendOptions {
            name: needed(name)?,
            body: body.ok_or("what to send? Use -m TEXT, -f FILE, or - for standard input")?,
            verify,
            timeout,
            from,
            bare,
            id,
            when_busy,
            when_draft,
            tmux,
            host,
        },
        json,
        quiet,
    })
}

fn read_verify(parser: &mut lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let (mut name, mut id, mut contains, mut since) = (None, None, None, None);
    let (mut json, mut quiet) = (false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("id") => id = Some(message_id(parser.value()?.string()?)?),
            Long("contains") => contains = Some(parser.value()?.string()?),
            Long("since") => since = Some(moment(&parser.value()?.string()?)?),
            Long("json") => json = true,
            Long("quiet") | Short('q') => quiet = true,
            Long("help") | Short('h') => return Ok(page("verify")),
            Value(value) if name.is_none() => name = Some(agent(value)?),
            other => return Err(other.unexpected()),
        }
    }
    if id.is_none() && contains.as_ref().is_none_or(String::is_empty) {
        return Err("which message? Use --id ID or --contains TEXT".into());
    }
    Ok(Verb::Verify {
        name: needed(name)?,
        id,
        contains,
        since,
        json,
        quiet,
    })
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

/// An id is printed, logged and compared: short, and nothing but visible ASCII.
fn message_id(id: String) -> Result<String, lexopt::Error> {
    if id.is_empty() || id.len() > 128 || !id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("an id has 1 to 128 visible ASCII characters and no blanks".into());
    }
    Ok(id)
}

/// Seconds, with a fraction if need be: `30`, `2.5`, `10s`.
pub(super) fn seconds(text: &str) -> Result<Duration, lexopt::Error> {
    let number = text.strip_suffix('s').unwrap_or(text);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let ms = format!("{fraction:0<3.3}");
    let read = (is_digits(whole) && is_digits(fraction))
        .then(|| Some((whole.parse::<u32>().ok()?, ms.parse::<u64>().ok()?)))
        .flatten();
    read.map(|(s, ms)| Duration::from_secs(s.into()) + Duration::from_millis(ms))
        .ok_or_else(|| format!("{text:?} is no number of seconds").into())
}

/// `90s`, `10m`, `2h` ago, or an RFC 3339 moment.
fn moment(text: &str) -> Result<SystemTime, lexopt::Error> {
    let ago = |number: &str, unit: u64| {
        let n = number.parse::<u64>().ok()?.checked_mul(unit)?;
        SystemTime::now().checked_sub(Duration::from_secs(n))
    };
    let found = if let Some(n) = text.strip_suffix('s') {
        ago(n, 1)
    } else if let Some(n) = text.strip_suffix('m') {
        ago(n, 60)
    } else if let Some(n) = text.strip_suffix('h') {
        ago(n, 3_600)
    } else {
        chrono::DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|t| t.with_timezone(&chrono::Utc).into())
    };
    found.ok_or_else(|| {
        format!("{text:?} is neither like 90s, 10m or 2h nor an RFC 3339 moment").into()
    })
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
    fn wrong_words_are_usage_errors_and_nothing_else() {
        for line in [
            "fly",
            "send",
            "send a/b -m x",
            "send a",
            "send a -m x -",
            "send a -m x --when busy=maybe",
            "send a -m x --timeout soon",
            "verify a",
            "verify a --contains= ",
            "run a b",
            "send a -m x --id a\u{e9}",
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
        }
        for line in OF_FLEET {
            let v = help::verb(line);
            assert!(
                matches!(verb(v), Ok(Verb::OfFleet(args)) if args == [v]),
                "{v}"
            );
        }
    }
}

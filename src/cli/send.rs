//! Arguments of `send` and `verify`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lexopt::prelude::*;

use crate::units::{AgentName, NO_ID, is_id};

/// Where the message comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Given with `-m`.
    Text(OsString),
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

/// What `verify` was asked for.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// Whose message.
    pub name: AgentName,
    /// Its id.
    pub id: Option<String>,
    /// A part of its text.
    pub contains: Option<Body>,
    /// Only messages after this moment.
    pub since: Option<Since>,
    /// The host the agent is on, as ssh knows it.
    pub host: Option<String>,
}

/// A moment, as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Since {
    /// By our clock.
    pub at: SystemTime,
    /// The word: `10m` ago is another moment by the clock of another host.
    pub word: String,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
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
        /// The message.
        options: VerifyOptions,
        /// Print the receipt as JSON.
        json: bool,
        /// Print nothing.
        quiet: bool,
    },
}

/// Reads the arguments of `send`; none: help is wanted.
pub fn read_send(parser: &mut lexopt::Parser) -> Result<Option<Verb>, lexopt::Error> {
    let (mut name, mut body, mut json, mut quiet) = (None, None, false, false);
    let (mut verify, mut timeout, mut from, mut bare, mut id) = (false, None, None, false, None);
    let (mut when_busy, mut when_draft, mut tmux, mut host) = (None, None, None, None);
    while let Some(arg) = parser.next()? {
        let mut given = None;
        match arg {
            Short('m') | Long("message") => given = Some(Body::Text(parser.value()?)),
            Short('f') | Long("file") => given = Some(file(parser.value()?)),
            Value(value) if value == "-" => given = Some(Body::Stdin),
            Long("verify") => verify = true,
            Long("timeout") => timeout = Some(seconds(&parser.value()?.string()?)?),
            Long("from") => from = Some(label(parser.value()?.string()?)?),
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
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
        if given.is_some() && std::mem::replace(&mut body, given).is_some() {
            return Err("one message at a time: -m, -f or -".into());
        }
    }
    Ok(Some(Verb::Send {
        options: SendOptions {
            name: name.ok_or("which agent? A name is missing")?,
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
    }))
}

/// `-f FILE`, where `-` is standard input as everywhere.
fn file(path: OsString) -> Body {
    match path == "-" {
        true => Body::Stdin,
        false => Body::File(path.into()),
    }
}

/// Reads the arguments of `verify`; none: help is wanted.
pub fn read_verify(parser: &mut lexopt::Parser) -> Result<Option<Verb>, lexopt::Error> {
    let (mut name, mut id, mut contains, mut since) = (None, None, None, None);
    let (mut host, mut json, mut quiet) = (None, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("id") => id = Some(message_id(parser.value()?.string()?)?),
            Long("contains") => contains = Some(Body::Text(parser.value()?)),
            Value(value) if value == "-" && contains.is_none() => contains = Some(Body::Stdin),
            Long("since") => since = Some(moment(parser.value()?.string()?)?),
            Short('H') | Long("host") => host = Some(parser.value()?.string()?),
            Long("json") => json = true,
            Long("quiet") | Short('q') => quiet = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    if id.is_none()
        && contains
            .as_ref()
            .is_none_or(|c| *c == Body::Text(OsString::new()))
    {
        return Err("which message? Use --id ID, --contains TEXT, or - for standard input".into());
    }
    Ok(Some(Verb::Verify {
        options: VerifyOptions {
            name: name.ok_or("which agent? A name is missing")?,
            id,
            contains,
            since,
            host,
        },
        json,
        quiet,
    }))
}

fn message_id(id: String) -> Result<String, lexopt::Error> {
    match is_id(&id) {
        true => Ok(id),
        false => Err(NO_ID.into()),
    }
}

/// Who writes. A preamble without a name would be worse than none.
fn label(text: String) -> Result<String, lexopt::Error> {
    match text.trim().is_empty() {
        true => Err("--from takes a name; --no-preamble leaves it out".into()),
        false => Ok(text),
    }
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

/// `90s`, `10m`, `2h`, `3d` ago, or an RFC 3339 moment.
fn moment(word: String) -> Result<Since, lexopt::Error> {
    let text = word.as_str();
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
    } else if let Some(n) = text.strip_suffix('d') {
        ago(n, 86_400)
    } else {
        chrono::DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|t| t.with_timezone(&chrono::Utc).into())
    };
    match found {
        Some(at) => Ok(Since { at, word }),
        None => Err(
            format!("{word:?} is neither like 90s, 10m, 2h or 3d nor an RFC 3339 moment").into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> lexopt::Parser {
        lexopt::Parser::from_args(line.split_whitespace())
    }

    #[test]
    fn a_dash_is_standard_input_wherever_a_file_may_be() {
        for line in ["a -", "- a", "a -f -", "a -f- --verify", "--file=- a"] {
            match read_send(&mut words(line)) {
                Ok(Some(Verb::Send { options, .. })) => assert_eq!(options.body, Body::Stdin),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "a/b -m x",
            "a",
            "a -m x -",
            "a -m x --when busy=maybe",
            "a -m x --timeout soon",
            "a -m x --id a\u{e9}",
            "a -m x --from=",
            "a -m x -f -",
        ] {
            assert!(read_send(&mut words(line)).is_err(), "{line}");
        }
        for line in ["a", "a --contains= ", "--id x", "-", "a --contains x -"] {
            assert!(read_verify(&mut words(line)).is_err(), "{line}");
        }
    }
}

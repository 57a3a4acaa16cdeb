//! Arguments of `supervise`, the verb of the main process of an agent's unit.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::failure::{Failure, exit};
use crate::units::AgentName;

/// What `supervise` was asked for.
#[derive(Clone, Debug)]
pub enum Options {
    /// Launch or adopt the agent, and stay.
    Begin(AgentName),
    /// Go on in place of the binary before.
    TakeOver(AgentName, Held),
    /// Say whether this binary could.
    CanTakeOver(AgentName),
}

/// The sidecar that the binary before has held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its pid.
    pub pid: i32,
    /// The number of the descriptor that holds it.
    pub fd: i32,
}

impl Options {
    /// The same as words behind a program's name.
    pub fn words(&self) -> Vec<OsString> {
        let (name, more) = match self {
            Options::Begin(name) => (name, Vec::new()),
            Options::TakeOver(name, held) => {
                let (pid, fd) = (held.pid.to_string(), held.fd.to_string());
                (name, vec!["--take-over".into(), pid, fd])
            }
            Options::CanTakeOver(name) => (name, vec!["--can-take-over".into()]),
        };
        let words = ["supervise", name.as_str()].map(OsString::from);
        words
            .into_iter()
            .chain(more.into_iter().map(Into::into))
            .collect()
    }
}

/// Reads the command line of `mosaic-monitor`: `supervise` and what belongs to it. None: what it is is wanted.
///
/// # Errors
/// [`exit::USAGE`] with what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Options>, Failure> {
    let read = |mut parser: lexopt::Parser| match parser.next()? {
        Some(Value(verb)) if verb == "supervise" => read(&mut parser).map(Some),
        Some(Long("version" | "help") | Short('V' | 'h')) => Ok(None),
        Some(other) => Err(other.unexpected()),
        None => Err("what is to be done? `supervise NAME`".into()),
    };
    read(lexopt::Parser::from_iter(args)).map_err(|e| {
        Failure::new(exit::USAGE, "", e)
            .hint("it is started by `mosaic-agent launch --supervise NAME`")
    })
}

/// Reads them.
pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Options, lexopt::Error> {
    let (mut name, mut held, mut can) = (None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("take-over") => {
                let (pid, fd) = (parser.value()?.parse()?, parser.value()?.parse()?);
                held = Some(Held { pid, fd });
            }
            Long("can-take-over") => can = true,
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    let name = name.ok_or("which agent? A name is missing")?;
    Ok(match (held, can) {
        (_, true) => Options::CanTakeOver(name),
        (Some(held), _) => Options::TakeOver(name, held),
        (None, _) => Options::Begin(name),
    })
}

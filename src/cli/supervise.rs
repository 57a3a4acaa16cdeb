//! Arguments of `supervise`, the verb of the main process of an agent's unit.

use lexopt::prelude::*;

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

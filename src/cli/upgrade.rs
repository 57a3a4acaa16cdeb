//! Arguments of `upgrade`.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::send::seconds;
use crate::units::AgentName;

/// Whose sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// This agent's.
    One(AgentName),
    /// Every agent's.
    All,
}

/// What `upgrade` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose sidecar.
    pub whom: Whom,
    /// The new binary; the one beside mosaic-fleet if not given.
    pub to: Option<PathBuf>,
    /// How long a good moment is waited for; the usual time if not given.
    pub timeout: Option<Duration>,
    /// As JSON.
    pub json: bool,
}

/// Reads them; none if help was asked for.
pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut whom, mut to, mut timeout, mut json) = (None, None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("all") if whom.is_none() => whom = Some(Whom::All),
            Long("to") => to = Some(PathBuf::from(parser.value()?)),
            Long("timeout") => timeout = Some(seconds(&parser.value()?.string()?)?),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(None),
            Value(name) if whom.is_none() => {
                whom = Some(Whom::One(AgentName::new(&name.string()?)?));
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(Options {
        whom: whom.ok_or("which agent? A name or --all is missing")?,
        to,
        timeout,
        json,
    }))
}

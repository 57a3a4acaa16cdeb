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
    let (mut name, mut to, mut timeout) = (None, None, None);
    let (mut all, mut json) = (false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("all") => all = true,
            Long("to") => to = Some(PathBuf::from(parser.value()?)),
            Long("timeout") => timeout = Some(seconds(&parser.value()?.string()?)?),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    let whom = match (name, all) {
        (Some(name), false) => Whom::One(name),
        (None, true) => Whom::All,
        _ => return Err("which agent? A NAME or --all".into()),
    };
    Ok(Some(Options {
        whom,
        to,
        timeout,
        json,
    }))
}

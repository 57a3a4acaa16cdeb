//! Arguments of `reset`.

use std::time::Duration;

use lexopt::prelude::*;

use super::send::seconds;
use super::tell::Tell;
use crate::units::AgentName;

/// What `reset` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The agent.
    pub name: AgentName,
    /// How long the end of a turn, or of whatever else stands in the way, is waited for.
    pub wait: Duration,
    /// What to print.
    pub tell: Tell,
}

/// The page of `reset`.
pub const PAGE: &str = "mosaic-fleet reset NAME: the runtime's own reset command, and proof that it worked

Types `/clear` or `/new`, whichever it is, into an empty composer; never while a turn runs, into a dialog or behind
somebody's draft. Exit codes: 0 proven, 7 typed and not proven, 75 nothing was typed (docs/operating.md).

Options
  --wait SECONDS      how long the end of a turn is waited for (0)
  --json              every step, and the evidence, as JSON
  -q, --quiet         print nothing when it is proven

Examples
  mosaic-fleet reset coder0
  mosaic-fleet reset --wait 600 coder0 && mosaic-agent send --verify coder0 -f next-task.txt
";

/// Reads them; none if help was asked for.
pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut name, mut wait) = (None, Duration::ZERO);
    let (mut json, mut quiet) = (false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("wait") => wait = seconds(&parser.value()?.string()?)?,
            Long("json") => json = true,
            Long("quiet") | Short('q') => quiet = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(Options {
        name: name.ok_or("which agent? A name is missing")?,
        wait,
        tell: Tell::of(json, quiet),
    }))
}

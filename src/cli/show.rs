//! Arguments of `status`, `probe` and `explain`.

use std::path::PathBuf;

use lexopt::prelude::*;

use super::send::seconds;
use super::tell::Tell;
use crate::units::AgentName;

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Show the state.
    Status {
        /// The agent.
        name: AgentName,
        /// Look afresh and write a heartbeat.
        probe: bool,
        /// What to print.
        tell: Tell,
    },
    /// Say why the sidecar thinks what it thinks.
    Explain {
        /// The agent.
        name: AgentName,
        /// As JSON.
        json: bool,
    },
    /// Say what the engine sees on a recorded screen.
    ExplainCast {
        /// The recording.
        file: PathBuf,
        /// The runtime in it, if the recording does not say.
        runtime: Option<String>,
        /// At which second; at its end if not given.
        at: Option<f64>,
        /// As JSON.
        json: bool,
    },
}

/// Reads the arguments of `status` and `probe`; none: help is wanted.
pub fn read_status(
    parser: &mut lexopt::Parser,
    probe: bool,
) -> Result<Option<Verb>, lexopt::Error> {
    let (mut name, mut json, mut quiet) = (None, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => json = true,
            Long("quiet") | Short('q') => quiet = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    let name = name.ok_or("which agent? A name is missing")?;
    let tell = Tell::of(json, quiet);
    Ok(Some(Verb::Status { name, probe, tell }))
}

/// Reads the arguments of `explain`; none: help is wanted.
pub fn read_explain(parser: &mut lexopt::Parser) -> Result<Option<Verb>, lexopt::Error> {
    let (mut name, mut file, mut runtime, mut at, mut json) = (None, None, None, None, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("cast") => file = Some(PathBuf::from(parser.value()?)),
            Long("runtime") => runtime = Some(parser.value()?.string()?),
            Long("at") => at = Some(seconds(&parser.value()?.string()?)?.as_secs_f64()),
            Long("json") => json = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    match (name, file) {
        (Some(name), None) if runtime.is_none() && at.is_none() => {
            Ok(Some(Verb::Explain { name, json }))
        }
        (None, Some(file)) => Ok(Some(Verb::ExplainCast {
            file,
            runtime,
            at,
            json,
        })),
        _ => Err("which screen? A NAME, or --cast FILE with --at and --runtime".into()),
    }
}

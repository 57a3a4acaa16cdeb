//! Arguments of the verbs of `mosaic-fleet` that look at one agent, and of the one that takes it over.

use lexopt::prelude::*;

use crate::units::AgentName;

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Live, and nothing but looking.
    Watch(AgentName),
    /// Type into it.
    Attach {
        /// The agent.
        name: AgentName,
        /// Send away who is attached.
        steal: bool,
    },
    /// What is on the screen now.
    Screen {
        /// The agent.
        name: AgentName,
        /// As JSON, with cells.
        json: bool,
        /// As a picture.
        svg: bool,
    },
}

/// Reads what comes after the verb; none: help is asked for.
pub(super) fn read(verb: &str, parser: &mut lexopt::Parser) -> Result<Option<Verb>, lexopt::Error> {
    let (mut name, mut steal, mut json, mut svg) = (None, false, false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("steal") if verb == "attach" => steal = true,
            Long("json") if verb == "screen" => json = true,
            Long("svg") if verb == "screen" => svg = true,
            Long("help") | Short('h') => return Ok(None),
            Value(value) if name.is_none() => name = Some(AgentName::new(&value.string()?)?),
            other => return Err(other.unexpected()),
        }
    }
    if json && svg {
        return Err("as what? --json or --svg".into());
    }
    let name = name.ok_or("which agent? A name is missing")?;
    Ok(Some(match verb {
        "watch" => Verb::Watch(name),
        "attach" => Verb::Attach { name, steal },
        _ => Verb::Screen { name, json, svg },
    }))
}

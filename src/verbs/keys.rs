//! `keys`, performed by `mosaic-fleet`: deliberate keys, typed into an agent.

use std::time::Duration;

use super::ask::{self, NoAnswer};
use super::place::Place;
use crate::cli::keys::Options;
use crate::failure::{Failure, exit};
use crate::pure::wire::Request;

/// A sidecar that does not answer within this time has not typed them, or they wait for a runtime that does not read.
const PATIENCE: Duration = Duration::from_secs(5);

/// Types them.
///
/// # Errors
/// The screen is not what the caller has seen, or a message is being typed (75); no such agent (3); not
/// permitted (77); no such key (2).
pub fn keys(options: Options) -> Result<u8, Failure> {
    let place = Place::here()?;
    let name = &options.name;
    let request = Request {
        op: "keys".into(),
        expect: options.expect,
        keys: Some(options.keys),
        ..Request::default()
    };
    let doing = || format!("typing keys into {name}");
    let answer = ask::ask(&place, name, &request, PATIENCE).map_err(|e| match e {
        NoAnswer::Gone(why) => ask::gone(why),
        NoAnswer::Silent(why) => Failure::new(exit::LATER, doing(), why),
        NoAnswer::Refused(word, why, code) if word == "changed" => Failure::new(code, doing(), why)
            .hint(format!(
                "`mosaic-fleet screen {name} --json` shows it, with its hash for --expect"
            )),
        NoAnswer::Refused(word, why, code) if word == "bad_field" => {
            Failure::new(code, doing(), why).hint(format!(
                "`mosaic-fleet keys --help` names the keys; a text is a message: `mosaic-agent send {name}`"
            ))
        }
        NoAnswer::Refused(_, why, code) => Failure::new(code, doing(), why),
        NoAnswer::Broken(why) => Failure::new(exit::INTERNAL, doing(), why),
    })?;
    if options.json {
        super::print(&String::from_utf8_lossy(&answer));
    }
    Ok(exit::OK)
}

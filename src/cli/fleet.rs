//! Arguments of `mosaic-fleet`.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::failure::{Failure, exit};

/// What the command line asks for.
#[derive(Debug)]
pub enum Verb {
    /// Print this text.
    Help(String),
    /// One row per agent.
    Ps {
        /// As JSON.
        json: bool,
    },
    /// Be the embedded demo runtime, with these arguments.
    DemoTui(Vec<OsString>),
}

/// The text of `--help`.
pub const HELP: &str = "\
mosaic-fleet: sees the fleet.

Examples
  mosaic-fleet ps                  one row per agent: is it alive, what is it doing
  mosaic-fleet ps --json           the same for programs
  mosaic-fleet demo-tui            an agent-like TUI of our own: no account, no network

Verbs
  ps [--json]                      agents by their heartbeats, joined with sidecar and tmux
  demo-tui [OPTIONS]               the embedded demo runtime (demo-tui --help for its options)

Exit codes: 0 done, 1 internal, 2 usage, 78 configuration.
";

/// Reads the command line.
///
/// # Errors
/// [`exit::USAGE`] with what is wrong.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Verb, Failure> {
    read(lexopt::Parser::from_iter(args)).map_err(|e| {
        Failure::new(exit::USAGE, "", e).hint("`mosaic-fleet --help` shows all verbs and options")
    })
}

fn read(mut parser: lexopt::Parser) -> Result<Verb, lexopt::Error> {
    let verb = match parser.next()? {
        Some(Value(verb)) => verb.string()?,
        Some(Long("help") | Short('h')) | None => return Ok(Verb::Help(HELP.into())),
        Some(Long("version") | Short('V')) => {
            return Ok(Verb::Help(format!(
                "mosaic-fleet {}\n",
                env!("CARGO_PKG_VERSION")
            )));
        }
        Some(other) => return Err(other.unexpected()),
    };
    match verb.as_str() {
        "help" => Ok(Verb::Help(HELP.into())),
        "demo-tui" => Ok(Verb::DemoTui(parser.raw_args()?.collect())),
        "ps" => {
            let mut json = false;
            while let Some(arg) = parser.next()? {
                match arg {
                    Long("json") => json = true,
                    Long("help") | Short('h') => return Ok(Verb::Help(HELP.into())),
                    other => return Err(other.unexpected()),
                }
            }
            Ok(Verb::Ps { json })
        }
        other => Err(format!("there is no verb {other:?}").into()),
    }
}

//! `hook`: what a runtime's own hook calls.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::failure::exit;
use crate::os::brief;
use crate::pure::hook::{self, PAYLOAD_MAX};

/// A payload takes this long at the most. Runtimes write theirs at once and close the pipe.
const READ_LASTS: Duration = Duration::from_millis(500);

/// All of it takes this long at the most, whatever is wrong: the runtime's turn waits for its hooks. It
/// takes 2 ms when nothing is.
const LASTS: Duration = Duration::from_secs(1);

/// Lines that come back: the greeting and the answer.
const ANSWERS: usize = 2;

/// Tells the sidecar of this session what its runtime says. Silent, and done in time, whatever happens: a
/// hook must never be what goes wrong in somebody's session.
pub fn hook(args: &[OsString]) -> u8 {
    let started = Instant::now();
    let words: Vec<_> = args.iter().map(|a| a.to_string_lossy()).collect();
    // codex' notify gives its payload as the last argument.
    let given = words.iter().find(|w| w.trim_start().starts_with('{'));
    let payload = match given {
        Some(json) => json.as_bytes().to_vec(),
        None if std::io::stdin().is_terminal() => Vec::new(),
        // Outside a fleet too: a runtime that finds its pipe closed may report a failed hook.
        None => brief::read_stdin(PAYLOAD_MAX, started + READ_LASTS),
    };
    let event = words.first().filter(|w| !w.trim_start().starts_with('{'));
    let socket = std::env::var_os("MOSAIC_AGENT_SOCK").filter(|path| !path.is_empty());
    if let Some(socket) = socket {
        let line = hook::line(event.map(AsRef::as_ref), &payload);
        // Nobody to tell is no failure of the runtime's.
        let _ = brief::say(Path::new(&socket), &line, ANSWERS, started + LASTS);
    }
    exit::OK
}

//! Speaking to a sidecar: finding its socket, asking one question, taking one answer.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::place::Place;
use crate::failure::{Failure, exit};
use crate::os::files;
use crate::os::socket::Client;
use crate::pure::beat::{Found, READ_MAX};
use crate::pure::wire::{self, PROTOCOL, Request, Status};
use crate::units::AgentName;

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody is there: no socket, or nobody behind it. What the heartbeat says of it, if there is one.
    Gone(String),
    /// Somebody is there and does not answer in time.
    Silent(String),
    /// The sidecar refused: its word, its sentence, and the exit code it proposes.
    Refused(String, String, u8),
    /// Anything else.
    Broken(String),
}

/// A sidecar greets within this time: a loop that is busy with a flood has taken 0.2 s.
const GREETED_WITHIN: Duration = Duration::from_secs(2);

/// Where an agent's socket is: the heartbeat knows, else the usual place.
pub(super) fn socket_of(place: &Place, name: &AgentName) -> (PathBuf, Option<Found>) {
    let beat = files::read_small(&place.heartbeat(name), READ_MAX)
        .ok()
        .map(|bytes| Found::parse(&bytes));
    let path = beat
        .as_ref()
        .and_then(|b| b.get("sock"))
        .filter(|sock| sock.starts_with('/'))
        .map_or_else(|| place.socket(name), PathBuf::from);
    (path, beat)
}

/// Why nobody answers for an agent, by what its heartbeat says.
pub(super) fn why_gone(name: &AgentName, beat: Option<&Found>) -> String {
    match beat {
        None => format!("no agent {name}: it has no heartbeat and no socket"),
        Some(beat) => match beat.get("exit") {
            Some(exit) => format!("the runtime of {name} ended ({exit})"),
            None => format!("no sidecar answers for {name}"),
        },
    }
}

/// The failure of a verb that needs an agent which is not there.
pub(super) fn gone(why: String) -> Failure {
    Failure::new(exit::GONE, "", why).hint(SEE_PS)
}

/// What to do about an agent that is not there.
pub(super) const SEE_PS: &str = "`mosaic-fleet ps` shows the agents there are";

/// Asks one question and waits for its one answer.
///
/// # Errors
/// [`NoAnswer`].
pub fn ask(
    place: &Place,
    name: &AgentName,
    request: &Request,
    within: Duration,
) -> Result<Vec<u8>, NoAnswer> {
    let deadline = Instant::now() + within;
    let (path, beat) = socket_of(place, name);
    let silent = |what: &str| {
        NoAnswer::Silent(format!(
            "the sidecar of {name} does not answer ({what}); see whether it is stopped: mosaic-fleet ps"
        ))
    };
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => NoAnswer::Gone(why_gone(name, beat.as_ref())),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => silent("no answer in time"),
        _ => NoAnswer::Broken(format!("{}: {e}", path.display())),
    };
    let greeted = deadline.min(Instant::now() + GREETED_WITHIN);
    let mut client = Client::connect(&path, greeted).map_err(failed)?;
    // The greeting proves life; a stopped sidecar accepts connections and never says a word.
    let hello = client.receive(greeted).map_err(failed)?;
    let hello: serde_json::Value = serde_json::from_slice(&hello)
        .map_err(|e| NoAnswer::Broken(format!("{}: no greeting: {e}", path.display())))?;
    if let Some(refused) = refusal(&hello) {
        return Err(refused);
    }
    // A heartbeat that was copied or restored under another name leads to somebody else.
    let who = hello.get("agent").and_then(|agent| agent.as_str());
    if who.is_some_and(|who| who != name.as_str()) {
        return Err(NoAnswer::Gone(format!(
            "no sidecar answers for {name}: behind the socket of its heartbeat ({}) is the agent {}",
            path.display(),
            who.unwrap_or_default()
        )));
    }
    match hello.get("protocol").and_then(serde_json::Value::as_u64) {
        Some(p) if p == u64::from(PROTOCOL) => {}
        other => {
            return Err(NoAnswer::Broken(format!(
                "the sidecar of {name} speaks protocol {other:?}, we speak {PROTOCOL}; upgrade the older one"
            )));
        }
    }
    client.send(&wire::line(request)).map_err(failed)?;
    let answer = client.receive(deadline).map_err(failed)?;
    let value: serde_json::Value = serde_json::from_slice(&answer)
        .map_err(|e| NoAnswer::Broken(format!("{}: {e}", path.display())))?;
    match refusal(&value) {
        Some(refused) => Err(refused),
        None => Ok(answer),
    }
}

fn refusal(value: &serde_json::Value) -> Option<NoAnswer> {
    let error = value.get("error")?.as_str()?;
    let message = value.get("message").and_then(|m| m.as_str()).unwrap_or("");
    let exit = value
        .get("exit")
        .and_then(serde_json::Value::as_u64)
        .and_then(|n| u8::try_from(n).ok())
        .unwrap_or(1);
    Some(NoAnswer::Refused(error.into(), message.into(), exit))
}

/// An agent's status.
///
/// # Errors
/// [`NoAnswer`].
pub fn status(place: &Place, name: &AgentName, within: Duration) -> Result<Status, NoAnswer> {
    let request = Request {
        op: "status".into(),
        ..Request::default()
    };
    let answer = ask(place, name, &request, within)?;
    serde_json::from_slice(&answer).map_err(|e| NoAnswer::Broken(e.to_string()))
}

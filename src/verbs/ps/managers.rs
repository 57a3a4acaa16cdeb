//! What the user's service manager knows of the agents' units, asked in two turns for all of them.

use std::io;
use std::path::Path;
use std::time::Instant;

use crate::os::bus::Bus;
use crate::os::systemd;
use crate::pure::dbus::{self, Call, Reader, Reply};
use crate::pure::roster::units::{self, Unit};
use crate::units::AgentName;

/// The units of these agents, of all others that the manager has in memory, and these services; none where no
/// manager answers until the deadline. `directory` is where the user's own units are.
pub fn units(
    directory: &Path,
    agents: &[&str],
    services: &[&str],
    deadline: Instant,
) -> Option<Vec<Unit>> {
    let socket = systemd::private_socket()?;
    let mut found = match ask(&socket, services, deadline) {
        Ok(found) => found,
        Err(e) => {
            tracing::warn!("the service manager does not answer: {e}");
            return None;
        }
    };
    let is_known = |name: &String| found.iter().any(|known| known.name == *name);
    let absent: Vec<String> = agents
        .iter()
        .filter(|agent| AgentName::new(agent).is_ok())
        .map(|agent| units::of_agent(agent))
        .filter(|name| !is_known(name))
        .collect();
    found.extend(absent.iter().map(|name| Unit::unloaded(name)));
    // What the manager says of it is as old as its last reload (`enable` does not change it, systemd 252), and costs
    // it 300 opened files a unit the first time.
    let links = [directory, Path::new("/etc/systemd/user")].map(systemd::linked);
    for unit in &mut found {
        if units::agent_of(&unit.name).is_none() {
            continue;
        }
        let is_enabled = links.iter().flatten().any(|name| *name == unit.name);
        unit.enabled = match (is_enabled, unit.load.as_str()) {
            (true, _) => "enabled",
            (false, "not-found") => "",
            (false, _) => "disabled",
        }
        .to_owned();
    }
    Some(found)
}

/// Lists the units, then asks for what a list does not have.
fn ask(socket: &Path, services: &[&str], deadline: Instant) -> io::Result<Vec<Unit>> {
    let uid = nix::unistd::geteuid().as_raw();
    let mut bus = Bus::open(socket, &dbus::greeting(uid), deadline)?;
    let pattern = units::of_agent("*");
    let mut patterns = vec![pattern.as_str()];
    patterns.extend(services);
    let answers = call(&mut bus, &[units::list(&patterns)], 1)?;
    let listed = body(&answers, 1)?
        .and_then(units::listed)
        .ok_or(io::ErrorKind::InvalidData)?;
    let mut questions = Vec::new();
    for (unit, path) in &listed {
        questions.push(units::property(path, units::SERVICE, "NRestarts"));
        questions.push(units::property(path, units::SERVICE, "Result"));
        if units::agent_of(&unit.name).is_none() {
            questions.push(units::property(path, units::UNIT, "UnitFileState"));
        }
    }
    let answers = call(&mut bus, &questions, FIRST)?;
    let replies = dbus::replies(&answers).map_err(io::Error::other)?;
    let mut bodies = by_question(&replies, questions.len()).into_iter();
    let mut next = || bodies.next().flatten();
    let mut found = Vec::new();
    for (mut unit, _) in listed {
        unit.restarts = next().and_then(units::number).unwrap_or(0).into();
        unit.result = next().and_then(units::text).unwrap_or_default();
        if units::agent_of(&unit.name).is_none() {
            unit.enabled = next().and_then(units::text).unwrap_or_default();
        }
        found.push(unit);
    }
    Ok(found)
}

/// The serial number of the first question of the second turn.
const FIRST: u32 = 2;

/// Sends calls with serial numbers from `first` on, and waits for the answers to all of them.
fn call(bus: &mut Bus, calls: &[Call<'_>], first: u32) -> io::Result<Vec<u8>> {
    let messages: Vec<u8> = calls
        .iter()
        .zip(first..)
        .flat_map(|(call, serial)| call.message(serial))
        .collect();
    bus.send(&messages)?;
    bus.receive(dbus::REPLIES_MAX, |bytes| {
        // What is no answer at all need not be waited for.
        dbus::replies(bytes).map_or(true, |replies| {
            replies.iter().filter(|reply| reply.to >= first).count() >= calls.len()
        })
    })
}

fn body(answers: &[u8], serial: u32) -> io::Result<Option<Reader<'_>>> {
    let replies = dbus::replies(answers).map_err(io::Error::other)?;
    let found = replies.iter().find(|reply| reply.to == serial);
    Ok(found.and_then(|reply| reply.body))
}

/// The answers of the second turn, in the order of the questions.
fn by_question<'a>(replies: &[Reply<'a>], questions: usize) -> Vec<Option<Reader<'a>>> {
    let mut bodies = vec![None; questions];
    for reply in replies {
        let at = reply
            .to
            .checked_sub(FIRST)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = at.and_then(|at| bodies.get_mut(at)) {
            *slot = reply.body;
        }
    }
    bodies
}

//! `mosaic-fleet ps`: finds the agents, asks each of them at once, and shows one row per agent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::ask::{self, NoAnswer};
use super::place::Place;
use crate::failure::{Failure, exit};
use crate::os::tmux::Tmux;
use crate::os::{files, process};
use crate::pure::beat::{Found, READ_MAX};
use crate::pure::roster::{self, Pane, Row, Sources};
use crate::units::AgentName;

/// A sidecar that does not answer within this time does not hold up the others' rows any longer.
const PATIENCE: Duration = Duration::from_millis(800);

/// The document of `ps --json`.
#[derive(Serialize)]
struct Document {
    schema: &'static str,
    tenant_id: String,
    host: String,
    agents: Vec<Row>,
}

/// Shows the fleet of this user on this host.
///
/// # Errors
/// The settings are wrong. Anything wrong with an agent is in its row.
pub fn ps(json: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let mut beats = heartbeats(&place.settings.run_dir);
    let panes = panes(&place, &beats);
    for (session, pane) in &panes {
        // A sidecar that has not written its first heartbeat yet.
        if pane.ours && !beats.contains_key(session) {
            beats.insert(session.clone(), Err("it has no heartbeat".into()));
        }
    }
    let boot = process::boot_id();
    let sources: Vec<Sources> = thread::scope(|scope| {
        let asking: Vec<_> = beats
            .into_iter()
            .map(|(agent, beat)| {
                let place = &place;
                let pane = panes.get(&agent).map_or(Pane::None, |p| p.state);
                (
                    agent.clone(),
                    scope.spawn(move || look(place, agent, beat, pane)),
                )
            })
            .collect();
        asking
            .into_iter()
            .filter_map(|(_, thread)| thread.join().ok())
            .collect()
    });
    let now = SystemTime::now();
    let rows: Vec<Row> = sources
        .iter()
        .map(|s| roster::row(s, now, &boot, &place.host, place.tenant()))
        .collect();
    if json {
        let document = Document {
            schema: "mosaic.ps/1",
            tenant_id: place.tenant().to_owned(),
            host: place.host.clone(),
            agents: rows,
        };
        super::print(&String::from_utf8_lossy(&crate::pure::wire::line(
            &document,
        )));
    } else if rows.is_empty() {
        super::print(&format!(
            "no agents: there are no heartbeats in {}\n",
            place.settings.run_dir.display()
        ));
    } else {
        super::print(&roster::table(&rows));
    }
    Ok(exit::OK)
}

fn look(place: &Place, agent: String, beat: Result<Found, String>, pane: Pane) -> Sources {
    let answer = match AgentName::new(&agent) {
        Err(why) => Err(why),
        Ok(name) => ask::status(place, &name, PATIENCE)
            .map(Box::new)
            .map_err(|e| match e {
                NoAnswer::Gone(why) | NoAnswer::Silent(why) | NoAnswer::Broken(why) => why,
                NoAnswer::Refused(_, why, _) => why,
            }),
    };
    Sources {
        agent,
        beat,
        answer,
        pane,
    }
}

/// Every `NAME.hb` in the run directory.
fn heartbeats(dir: &Path) -> BTreeMap<String, Result<Found, String>> {
    let Ok(entries) = fs::read_dir(dir) else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            let agent = file.strip_suffix(".hb")?.to_owned();
            let beat = files::read_small(&entry.path(), READ_MAX)
                .map(|bytes| Found::parse(&bytes))
                .map_err(|e| format!("its heartbeat cannot be read: {e}"));
            Some((agent, beat))
        })
        .collect()
}

struct FoundPane {
    state: Pane,
    /// The pane's process is a sidecar.
    ours: bool,
}

/// The panes of every tmux server our agents live on, by session name.
fn panes(
    place: &Place,
    beats: &BTreeMap<String, Result<Found, String>>,
) -> BTreeMap<String, FoundPane> {
    let Ok(tmux) = super::launch::find_tmux(&place.settings) else {
        return BTreeMap::new();
    };
    let mut sockets = BTreeSet::from([place.settings.tmux_socket.clone()]);
    for beat in beats.values().flatten() {
        sockets.extend(beat.get("tmux").map(str::to_owned));
    }
    let me = std::env::current_exe().ok();
    let mut found = BTreeMap::new();
    for socket in sockets {
        let server = Tmux {
            socket,
            ..tmux.clone()
        };
        for pane in server.panes().unwrap_or_default() {
            let ours = me.as_ref().is_some_and(|me| {
                let exe = fs::read_link(format!("/proc/{}/exe", pane.pid)).ok();
                exe.and_then(|e| {
                    Some(e.file_name()? == "mosaic-agent" && e.parent() == me.parent())
                })
                .unwrap_or(false)
            });
            let state = if pane.dead { Pane::Dead } else { Pane::Alive };
            let known = found.get(&pane.session).is_some_and(|p: &FoundPane| p.ours);
            if !known {
                found.insert(pane.session, FoundPane { state, ours });
            }
        }
    }
    found
}

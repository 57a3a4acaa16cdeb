//! Everything that can be found out about a fleet in one look: all sources at once, and none of them waited for
//! longer than it deserves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::{managers, sidecars};
use crate::os::crowd::{Crowd, Said};
use crate::os::locks::Locks;
use crate::os::tmux::{self, Tmux};
use crate::os::{files, process, systemd};
use crate::pure::beat::{Found, READ_MAX};
use crate::pure::profile::Profiles;
use crate::pure::roster::asked::{self, Variables, Wishes};
use crate::pure::roster::units::{self, Unit};
use crate::pure::roster::{self, Around, Owner, Row, Seat, Sources, TmuxClient, patience};
use crate::pure::wire::{self, Request};
use crate::units::AgentName;
use crate::verbs::place::Place;
use crate::verbs::run::facts;
use crate::verbs::unit_files;

/// A tmux server and a service manager answer within some 10 ms, and 1 ms more for every unit. One that hangs is
/// shown as if it were not there.
const MANAGERS_WITHIN: Duration = Duration::from_secs(2);

/// Most files looked at in a directory: a fleet of a user has some hundred agents.
const FILES_MAX: usize = 4_096;

/// Most sockets asked at once: a process may have 1,024 descriptors.
const AT_ONCE: usize = 256;

/// Most tmux servers asked. Heartbeats name them, and one more costs a process.
const SERVERS_MAX: usize = 8;

/// Largest environment file read.
const ENV_MAX: usize = 256 * 1024;

/// The session that keeps the holder's server alive.
const HOLDER_SESSION: &str = "_holder";

/// What was found.
pub struct Fleet {
    /// One row per agent and per session that no agent owns.
    pub rows: Vec<Row>,
    /// Whether a service manager of this user answers.
    pub manager: bool,
    /// Whether it runs while nobody is logged in; none if that cannot be said.
    pub linger: Option<bool>,
}

/// The environment files of the fleet.
struct Described {
    /// What all agents share.
    shared: Variables,
    /// Each agent's own, or why it cannot be read.
    agents: BTreeMap<String, Result<Variables, String>>,
}

/// Looks at the fleet of this user on this host.
pub fn gather(place: &Place, profiles: &Profiles) -> Fleet {
    let described = described(&place.settings.home.join(".config/mosaic/fleet"));
    let mut all: BTreeMap<String, Sources> = BTreeMap::new();
    for (agent, beat) in heartbeats(&place.settings.run_dir) {
        entry(&mut all, &agent).beat = Some(beat);
    }
    for agent in names_with(&place.socket_dir(), ".sock") {
        // A launcher's own socket begins with a dot.
        if AgentName::new(&agent).is_ok() {
            entry(&mut all, &agent);
        }
    }
    for (agent, read) in &described.agents {
        let file = format!("{agent}.env");
        entry(&mut all, agent).described = Some(read.as_ref().map(|_| file).map_err(Clone::clone));
    }
    find_owners(place, &mut all);
    let services = own_services(&all);
    let directory = &unit_files::directory(place);
    let deadline = Instant::now() + MANAGERS_WITHIN;
    let servers = servers(place, &described, &all);
    let (units, panes) = thread::scope(|scope| {
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        let services: Vec<&str> = services.values().map(String::as_str).collect();
        let units = scope.spawn(move || managers::units(directory, &names, &services, deadline));
        let asking: Vec<_> = servers
            .iter()
            .map(|server| scope.spawn(|| server.tmux.all_within(MANAGERS_WITHIN)))
            .collect();
        let answers = ask_all(place, &all);
        let panes: Vec<Told> = asking
            .into_iter()
            .map(|thread| thread.join().ok().and_then(Result::ok).unwrap_or_default())
            .collect();
        ((units.join().unwrap_or_default(), answers), panes)
    });
    let (units, answers) = units;
    for (agent, answer) in answers {
        let from = entry(&mut all, &agent);
        from.answer = match from.owner {
            Owner::Pid(pid) if answer.is_err() && process::state_letter(pid) == Some('T') => {
                Err(format!("its sidecar (pid {pid}) is stopped"))
            }
            _ => answer,
        };
    }
    // One that has started, or was restarted, since the locks were read.
    if all.values().any(is_news) {
        find_owners(place, &mut all);
    }
    seat(&servers, panes, &mut all);
    let linger = systemd::lingers(&process::user_name());
    for (agent, from) in &mut all {
        from.unit = unit_of(agent, from, units.as_deref(), &services);
        find_what_runs(from, &described, profiles);
    }
    let around = Around {
        now: SystemTime::now(),
        boot: &process::boot_id(),
        host: &place.host,
        tenant: place.tenant(),
        linger,
        profiles,
    };
    Fleet {
        rows: all
            .values()
            .map(|from| roster::row(from, &around))
            .collect(),
        manager: units.is_some(),
        linger,
    }
}

fn entry<'a>(all: &'a mut BTreeMap<String, Sources>, agent: &str) -> &'a mut Sources {
    all.entry(agent.to_owned())
        .or_insert_with(|| Sources::of(agent))
}

/// The names of a directory's files with this ending, without it.
fn names_with(dir: &Path, ending: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .take(FILES_MAX)
        .filter_map(|entry| {
            let file = entry.file_name().to_string_lossy().into_owned();
            file.strip_suffix(ending).map(str::to_owned)
        })
        .collect()
}

/// Every `NAME.hb` in the run directory.
fn heartbeats(dir: &Path) -> Vec<(String, Result<Found, String>)> {
    names_with(dir, ".hb")
        .into_iter()
        .map(|agent| {
            let path = dir.join(format!("{agent}.hb"));
            let beat = files::read_own(&path, READ_MAX);
            (
                agent,
                beat.map(|b| Found::parse(&b)).map_err(|e| e.to_string()),
            )
        })
        .collect()
}

/// The environment files, where the units read them.
fn described(dir: &Path) -> Described {
    let read = |path: &Path| {
        let bytes = files::read_linked(path, ENV_MAX).map_err(|e| e.to_string())?;
        asked::read_variables(&bytes)
    };
    Described {
        shared: read(&dir.join("fleet.env")).unwrap_or_default(),
        agents: names_with(&dir.join("agents"), ".env")
            .into_iter()
            .map(|agent| {
                let path = dir.join(format!("agents/{agent}.env"));
                let variables = read(&path);
                (agent, variables)
            })
            .collect(),
    }
}

// ---------------------------------------------------------------- systemd

/// The services of the user's own that run an agent headless, by agent.
fn own_services(all: &BTreeMap<String, Sources>) -> BTreeMap<String, String> {
    all.iter()
        .filter_map(|(agent, from)| {
            let beat = from.beat.as_ref()?.as_ref().ok()?;
            let sidecar = i32::try_from(beat.number("sidecar")?).ok()?;
            let unit = systemd::unit_of(sidecar);
            units::is_own_service(&unit, beat.get("tmux").is_some()).then(|| (agent.clone(), unit))
        })
        .collect()
}

/// An agent's unit. A session that no agent owns has none, and one on another host has none here.
fn unit_of(
    agent: &str,
    from: &Sources,
    units: Option<&[Unit]>,
    services: &BTreeMap<String, String>,
) -> Option<Unit> {
    let is_agent = from.beat.is_some() || from.described.is_some() || from.answer.is_ok();
    let usual = units::of_agent(agent);
    let find = |name: &String| units?.iter().find(|unit| unit.name == *name);
    let found = services
        .get(agent)
        .and_then(find)
        .or_else(|| find(&usual))?;
    (is_agent || found.is_up()).then(|| found.clone())
}

// ---------------------------------------------------------------- tmux

/// A tmux server.
struct Server {
    tmux: Tmux,
    /// The fleet's own: whatever is on it should be an agent's.
    is_fleets: bool,
}

fn servers(place: &Place, described: &Described, all: &BTreeMap<String, Sources>) -> Vec<Server> {
    let Ok(tmux) = crate::verbs::launch::find_tmux(&place.settings) else {
        return Vec::new();
    };
    const VARIABLE: &str = "MOSAIC_TMUX_SOCKET";
    let shared = || described.shared.get(VARIABLE).cloned().unwrap_or_default();
    let of_fleet = match std::env::var_os(VARIABLE) {
        Some(_) => place.settings.tmux_socket.clone(),
        None => shared(),
    };
    let own = described.agents.values().flatten();
    let fleets: BTreeSet<String> = own
        .filter_map(|variables| variables.get(VARIABLE).cloned())
        .chain([of_fleet])
        .collect();
    let beats = all
        .values()
        .filter_map(|from| from.beat.as_ref()?.as_ref().ok());
    let others = beats.filter_map(|beat| Some(beat.raw("tmux")?.to_owned()));
    // What stands in a file goes into a command line and a path.
    let is_name =
        |name: &String| name.len() <= 64 && !name.starts_with('-') && !name.contains(['/', '\0']);
    let sockets: BTreeSet<String> = others.collect();
    let others = sockets.difference(&fleets).cloned();
    fleets
        .iter()
        .cloned()
        .map(|socket| (socket, true))
        .chain(others.map(|socket| (socket, false)))
        .filter(|(socket, _)| is_name(socket))
        .take(SERVERS_MAX)
        .map(|(socket, is_fleets)| Server {
            tmux: Tmux {
                socket,
                ..tmux.clone()
            },
            is_fleets,
        })
        .collect()
}

/// What a tmux server has told.
type Told = (Vec<tmux::Pane>, Vec<tmux::Client>);

/// Gives every pane to the agent whose sidecar is in it, else to the one that has the session's name.
fn seat(servers: &[Server], told: Vec<Told>, all: &mut BTreeMap<String, Sources>) {
    let mut strangers: Vec<(&Server, Seat)> = Vec::new();
    for (server, (panes, clients)) in servers.iter().zip(told) {
        for pane in panes {
            let ended = matches!(process::state_letter(pane.pid), None | Some('Z' | 'X'));
            let looks = |client: &&tmux::Client| client.session == pane.session;
            let shown = |client: &tmux::Client| TmuxClient {
                pid: client.pid,
                readonly: client.readonly,
            };
            let seat = Seat {
                clients: clients.iter().filter(looks).map(shown).collect(),
                session: pane.session,
                socket: server.tmux.socket.clone(),
                pid: pane.pid,
                command: pane.command,
                dead: pane.dead || ended,
                sidecar: None,
            };
            match sidecars::read(seat.pid).and_then(|run| run.agent) {
                Some(agent) => take_seat(all, &agent, seat.pid, seat),
                None => strangers.push((server, seat)),
            }
        }
    }
    if strangers.is_empty() {
        return;
    }
    let above = above_unseated(all);
    strangers.retain(|(_, seat)| {
        let below = above.iter().find(|(_, _, above)| above.contains(&seat.pid));
        if let Some((agent, sidecar, _)) = below {
            take_seat(all, agent, *sidecar, seat.clone());
        }
        below.is_none()
    });
    for (server, seat) in strangers {
        let same = |s: &Seat| s.session == seat.session && s.socket == seat.socket;
        // A pane beside a sidecar's is in good company; a session counts once.
        let is_known = all.values().any(|from| from.seats.iter().any(same));
        if seat.session == HOLDER_SESSION || is_known {
            continue;
        }
        let beat = all.get(&seat.session).and_then(|from| from.beat.as_ref());
        let socket = Some(seat.socket.as_str());
        let was_here = beat.is_some_and(|b| b.as_ref().is_ok_and(|b| b.raw("tmux") == socket));
        if server.is_fleets || was_here {
            let agent = seat.session.clone();
            entry(all, &agent).seats.push(seat);
        }
    }
}

fn take_seat(all: &mut BTreeMap<String, Sources>, agent: &str, sidecar: i32, seat: Seat) {
    entry(all, agent).seats.push(Seat {
        sidecar: Some(sidecar),
        ..seat
    });
}

/// The sidecars that are no pane's own process, with the processes above them: one may have been started by hand in
/// a pane's shell.
fn above_unseated(all: &BTreeMap<String, Sources>) -> Vec<(String, i32, Vec<i32>)> {
    all.iter()
        .filter_map(|(agent, from)| {
            let Owner::Pid(sidecar) = from.owner else {
                return None;
            };
            let seated = from.seats.iter().any(|s| s.sidecar == Some(sidecar));
            (!seated).then(|| (agent.clone(), sidecar, process::ancestors(sidecar)))
        })
        .collect()
}

// ---------------------------------------------------------------- the sidecars

fn find_owners(place: &Place, all: &mut BTreeMap<String, Sources>) {
    let Some(locks) = Locks::read() else {
        return;
    };
    let sockets = place.socket_dir();
    for (agent, from) in all {
        let file = format!("{agent}.lock");
        let holder = |dir: &Path| locks.holder(&dir.join(&file));
        from.owner = holder(&place.settings.run_dir)
            .or_else(|| holder(&sockets))
            .map_or(Owner::Nobody, Owner::Pid);
    }
}

/// Whether somebody else has answered than who held the lock before the question.
fn is_news(from: &Sources) -> bool {
    let answers = from.answer.as_ref().ok().map(|a| a.status.sidecar);
    let answers = answers.and_then(|pid| i32::try_from(pid).ok());
    answers.is_some_and(|pid| from.owner != Owner::Pid(pid))
}

/// Whether somebody holds the agent's lock who can answer: one that is stopped, or dead, cannot.
fn has_sidecar(from: &Sources) -> bool {
    match from.owner {
        Owner::Pid(pid) => !matches!(
            process::state_letter(pid),
            None | Some('T' | 't' | 'Z' | 'X')
        ),
        Owner::Nobody => false,
        Owner::Untold => true,
    }
}

type Answered = Result<Box<roster::Answer>, String>;

/// Asks all sidecars, each on the socket that its heartbeat names, else at the usual place.
fn ask_all(place: &Place, all: &BTreeMap<String, Sources>) -> Vec<(String, Answered)> {
    let request = wire::line(&Request {
        op: "status".into(),
        ..Request::default()
    });
    let calls: Vec<(&String, PathBuf, bool)> = all
        .iter()
        .filter_map(|(agent, from)| {
            let name = AgentName::new(agent).ok()?;
            let beat = from.beat.as_ref().and_then(|b| b.as_ref().ok());
            let told = beat.and_then(|b| b.get("sock"));
            let path = told
                .filter(|sock| sock.starts_with('/'))
                .map_or_else(|| place.socket(&name), PathBuf::from);
            Some((agent, path, has_sidecar(from)))
        })
        .collect();
    let mut answers: Vec<(String, Answered)> = all
        .keys()
        .filter_map(|agent| Some((agent.clone(), Err(AgentName::new(agent).err()?))))
        .collect();
    for calls in calls.chunks(AT_ONCE) {
        let paths = calls.iter().map(|(_, path, _)| path.clone()).collect();
        for (at, answer) in ask(paths, &request, |at| calls[at].2) {
            answers.push((calls[at].0.clone(), answer));
        }
    }
    answers
}

/// Asks some sockets at once. The greeting and the answer: two lines. `is_sidecar`: a sidecar is behind that one.
fn ask(
    paths: Vec<PathBuf>,
    request: &[u8],
    is_sidecar: impl Fn(usize) -> bool,
) -> Vec<(usize, Answered)> {
    let begun = Instant::now();
    let mut open: BTreeSet<usize> = (0..paths.len()).collect();
    let (mut crowd, refused) = Crowd::ask(paths, request, 2);
    let mut answers = Vec::new();
    let mut take = |outcomes: Vec<(usize, io::Result<Said>)>, open: &mut BTreeSet<usize>| {
        for (at, outcome) in outcomes {
            open.remove(&at);
            answers.push((at, outcome.map_err(silence).and_then(|said| read(&said))));
        }
    };
    take(refused, &mut open);
    let mut slowest = Duration::ZERO;
    while !open.is_empty() {
        let until = patience::until(open.iter().any(|at| is_sidecar(*at)), slowest);
        let left = until.saturating_sub(begun.elapsed());
        // Also when the time is over: what has come meanwhile counts.
        let outcomes = crowd.listen(left);
        if !outcomes.is_empty() {
            slowest = begun.elapsed();
            take(outcomes, &mut open);
        } else if left.is_zero() {
            break;
        }
    }
    let ms = begun.elapsed().as_millis();
    let silent = format!("its sidecar does not answer (waited {ms} ms)");
    answers.extend(open.into_iter().map(|at| (at, Err(silent.clone()))));
    answers
}

fn silence(e: io::Error) -> String {
    match e.kind() {
        io::ErrorKind::NotFound => "no sidecar answers: it has no socket".into(),
        io::ErrorKind::ConnectionRefused => "no sidecar answers on its socket".into(),
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => "its socket was closed before it answered".into(),
        _ => e.to_string(),
    }
}

fn read(said: &Said) -> Answered {
    let strange = |e: serde_json::Error| format!("what answers on its socket is no sidecar: {e}");
    let [greeting, answer] = said.lines.as_slice() else {
        return Err("what answers on its socket is no sidecar".into());
    };
    let hello: serde_json::Value = serde_json::from_slice(greeting).map_err(strange)?;
    let text = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|v| v.as_str()).map(str::to_owned)
    };
    if text(&hello, "error").is_some() {
        return Err(text(&hello, "message").unwrap_or_default());
    }
    let agent = text(&hello, "agent").ok_or("what answers on its socket is no sidecar")?;
    let status: serde_json::Value = serde_json::from_slice(answer).map_err(strange)?;
    if text(&status, "error").is_some() {
        return Err(text(&status, "message").unwrap_or_default());
    }
    Ok(Box::new(roster::Answer {
        agent,
        peer: said.peer.pid,
        status: serde_json::from_value(status).map_err(strange)?,
    }))
}

// ---------------------------------------------------------------- processes

/// What was asked for, and what the kernel says that runs.
fn find_what_runs(from: &mut Sources, described: &Described, profiles: &Profiles) {
    let Some((sidecar, pid)) = from.answer.as_ref().ok().and_then(|answer| {
        let sidecar = i32::try_from(answer.status.sidecar).ok()?;
        Some((sidecar, answer.status.pid))
    }) else {
        return;
    };
    from.processes = facts(process::between(sidecar, pid));
    let own = described.agents.get(&from.agent);
    let mut wishes = Wishes::default();
    // Without a file of its own and a unit that reads it, the shared one is nobody's wish.
    if own.is_some() || from.unit.as_ref().is_some_and(Unit::is_up) {
        wishes.files = described.shared.clone();
    }
    if let Some(Ok(own)) = own {
        wishes.files.extend(own.clone());
    }
    if wishes.asked().is_none() {
        wishes.given = sidecars::read(sidecar).map_or(Vec::new(), |run| run.command);
    }
    if wishes.asked().is_none() {
        let pairs = process::environment(pid).unwrap_or_default();
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        wishes.environment = pairs.into_iter().map(|(k, v)| (text(k), text(v))).collect();
    }
    from.asked = wishes.asked();
    // Only where something seems to be wrong is it worth to look at everything below the sidecar.
    let differs = |asked: &asked::Asked| asked.differs(&from.processes, profiles).is_some();
    if from.asked.as_ref().is_some_and(differs) {
        let others = facts(process::family(sidecar).into_iter().skip(1).collect());
        let known: BTreeSet<i32> = from.processes.iter().map(|p| p.pid).collect();
        let others = others.into_iter().filter(|p| !known.contains(&p.pid));
        from.processes.extend(others);
    }
}

//! One row per agent: joins what heartbeat, sidecar, tmux, the kernel and the service manager say, and lets none
//! of them claim a life that another one denies.

use std::time::SystemTime;

use serde::Serialize;

use super::beat::{Found, Health};
use super::profile::{ProcessFacts, Profiles};
use super::receipt::unix_ms;
use super::wire::{State, Status};
use asked::Asked;
use flags::Flag;
use units::Unit;

pub mod asked;
pub mod choice;
pub mod flags;
pub mod patience;
pub mod table;
pub mod units;

/// What is known of an agent's pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pane {
    /// A pane whose process runs.
    Alive,
    /// A pane whose process has ended.
    Dead,
    /// No pane.
    None,
}

impl Pane {
    /// The word used in `ps`.
    pub fn word(self) -> &'static str {
        match self {
            Pane::Alive => "alive",
            Pane::Dead => "dead",
            Pane::None => "none",
        }
    }
}

/// A client of the tmux session that a pane is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TmuxClient {
    /// The `tmux` in somebody's terminal.
    pub pid: i32,
    /// It cannot type.
    pub readonly: bool,
}

/// A pane that belongs to an agent: its sidecar is in it, or the session has its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The session.
    pub session: String,
    /// The tmux socket's name; empty for the default one.
    pub socket: String,
    /// Its process.
    pub pid: i32,
    /// What that is called.
    pub command: String,
    /// Whether that process has ended.
    pub dead: bool,
    /// The sidecar in it, if it runs one.
    pub sidecar: Option<i32>,
    /// Who has the session on a terminal.
    pub clients: Vec<TmuxClient>,
}

/// What a sidecar, or somebody in its place, has answered.
pub struct Answer {
    /// The agent it speaks for, by its greeting.
    pub agent: String,
    /// Who listens on the socket, by the kernel; 0 where it does not tell.
    pub peer: i32,
    /// Its status.
    pub status: Status,
}

/// Who holds an agent's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This process.
    Pid(i32),
    /// Nobody.
    Nobody,
    /// The kernel does not tell.
    Untold,
}

/// Everything found out about one name.
pub struct Sources {
    /// The agent.
    pub agent: String,
    /// Its heartbeat, or why it cannot be read; none if there is no such file.
    pub beat: Option<Result<Found, String>>,
    /// The answer on its socket, or why there is none.
    pub answer: Result<Box<Answer>, String>,
    /// Who holds its lock.
    pub owner: Owner,
    /// Its panes.
    pub seats: Vec<Seat>,
    /// The processes from its sidecar's child down to its runtime, outermost first; with all others below the
    /// sidecar where those leave a doubt.
    pub processes: Vec<ProcessFacts>,
    /// What it was asked to run.
    pub asked: Option<Asked>,
    /// Its environment file's name, if it has one, or why that cannot be read.
    pub described: Option<Result<String, String>>,
    /// Its unit; none where there is no service manager.
    pub unit: Option<Unit>,
}

impl Sources {
    /// A name of which nothing is known.
    pub fn of(agent: &str) -> Sources {
        Sources {
            agent: agent.to_owned(),
            beat: None,
            answer: Err("it has no socket".into()),
            owner: Owner::Untold,
            seats: Vec::new(),
            processes: Vec::new(),
            asked: None,
            described: None,
            unit: None,
        }
    }
}

/// What is the same for all rows.
pub struct Around<'a> {
    /// The time.
    pub now: SystemTime,
    /// The kernel's id of this boot.
    pub boot: &'a str,
    /// This host.
    pub host: &'a str,
    /// Whose fleet, where the agent itself does not say.
    pub tenant: &'a str,
    /// Whether this user's manager runs while nobody is logged in; none if that cannot be said.
    pub linger: Option<bool>,
    /// How runtimes are recognised.
    pub profiles: &'a Profiles,
}

/// The last message to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastReceipt {
    /// Its id.
    pub id: String,
    /// What became of it.
    pub verdict: &'static str,
    /// Seconds since it was asked for.
    pub age_s: u64,
}

/// One flag of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flagged {
    /// Which.
    pub flag: Flag,
    /// Why, and what to do.
    pub why: String,
}

/// One row of `ps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The agent; the session's name for one that no agent owns.
    pub agent: String,
    /// `healthy`, `stale` or `unknown`, by the rule for heartbeats.
    pub health: &'static str,
    /// The state; `unknown` where nobody can vouch for one.
    pub state: &'static str,
    /// Seconds since the state last changed.
    pub for_s: Option<u64>,
    /// Why, where something is not as it should be.
    pub why: String,
    /// What really runs.
    pub runtime: String,
    /// Its version.
    pub runtime_version: String,
    /// The model it was started with.
    pub model: String,
    /// The runtime that was asked for, if anybody said so.
    pub asked_runtime: Option<String>,
    /// The runtime's pid; 0 if there is none.
    pub pid: u64,
    /// The sidecar's pid; 0 if there is none.
    pub sidecar: u64,
    /// Seconds since its last output.
    pub idle_s: Option<u64>,
    /// Seconds since its heartbeat was written.
    pub beat_s: Option<u64>,
    /// Its pane.
    pub pane: Pane,
    /// The tmux session it is in.
    pub session: Option<String>,
    /// The process that has taken it over by `attach`.
    pub attached_pid: Option<u64>,
    /// Who has its tmux session on a terminal, by `attach` or not.
    pub tmux_clients: Vec<TmuxClient>,
    /// Its unit; null where there is no service manager.
    pub unit: Option<Unit>,
    /// The host it runs on.
    pub host: String,
    /// Whose fleet.
    pub tenant_id: String,
    /// The verdict of its last message.
    pub last_verdict: Option<&'static str>,
    /// More of that message.
    pub last_receipt: Option<LastReceipt>,
    /// What needs attention, as words for programs.
    pub flags: Vec<Flag>,
    /// Why each of them is raised.
    pub flagged: Vec<Flagged>,
}

impl Sources {
    /// The answer, if it is the agent's own sidecar's.
    ///
    /// A socket can be answered by anybody of this user, and a heartbeat can name any socket: the sidecar is who
    /// listens itself, speaks for this agent, and holds its lock.
    fn vouched(&self) -> Result<&Status, String> {
        let answer = self.answer.as_ref().map_err(Clone::clone)?;
        let says = i32::try_from(answer.status.sidecar).unwrap_or(0);
        if answer.agent != self.agent {
            return Err(format!("the socket is that of {}", answer.agent));
        }
        if answer.peer != 0 && answer.peer != says {
            return Err(format!(
                "pid {} answers on its socket and says that it is pid {says}",
                answer.peer
            ));
        }
        match self.owner {
            Owner::Nobody => Err(format!(
                "pid {says} answers on its socket, and nobody holds its lock"
            )),
            Owner::Pid(pid) if pid != says => Err(format!(
                "pid {says} answers on its socket, and pid {pid} holds its lock"
            )),
            _ => Ok(&answer.status),
        }
    }

    fn found(&self) -> Option<&Found> {
        self.beat.as_ref()?.as_ref().ok()
    }

    /// The pid of the sidecar that the heartbeat names, unless it says that all is over.
    fn beating(&self) -> Option<i32> {
        let beat = self.found()?;
        if beat.state() == Some(State::Exited) {
            return None;
        }
        i32::try_from(beat.number("sidecar")?).ok()
    }

    /// The host of its heartbeat, if that is another one: a home directory can be on several. A host that has
    /// changed its name since is still in the same boot.
    fn elsewhere(&self, around: &Around<'_>) -> Option<&str> {
        let beat = self.found()?;
        let here = beat.get("boot") == Some(around.boot);
        beat.get("host").filter(|h| *h != around.host && !here)
    }
}

/// The row of an agent.
pub fn row(from: &Sources, around: &Around<'_>) -> Row {
    let beat = from.found();
    let get = |key: &str| beat.and_then(|b| b.get(key)).unwrap_or("").to_owned();
    let number = |key| beat.and_then(|b| b.number(key));
    let vouched = from.vouched();
    let status = vouched.as_ref().ok().copied();
    let runs = asked::what_runs(&from.processes, around.profiles);
    let flagged = flags::raised(from, around, status);
    let given = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    let seat = seat(from, status);
    let clients = clients(from, seat);
    let life = life(from, around, &vouched, &clients);
    let stranger = seat.filter(|_| beat.is_none() && status.is_none());
    Row {
        agent: from.agent.clone(),
        health: life.health.word(),
        state: life.state,
        for_s: status.map(|s| s.for_s),
        why: life.why,
        runtime: runs
            .filter(|_| status.is_some())
            .or_else(|| given(&status?.runtime))
            .or_else(|| given(&stranger?.command))
            .unwrap_or_else(|| get("runtime")),
        runtime_version: status
            .and_then(|s| given(&s.runtime_version))
            .unwrap_or_else(|| get("version")),
        model: status
            .and_then(|s| given(&s.model))
            .unwrap_or_else(|| get("model")),
        asked_runtime: from
            .asked
            .as_ref()
            .and_then(|a| a.runtime(around.profiles))
            .map(str::to_owned),
        pid: status
            .map(|s| s.pid)
            .or(stranger.map(|s| s.pid))
            .and_then(|pid| u64::try_from(pid).ok())
            .or(number("pid"))
            .unwrap_or(0),
        sidecar: match status {
            Some(status) => u64::from(status.sidecar),
            None => from
                .beating()
                .and_then(|pid| u64::try_from(pid).ok())
                .unwrap_or(0),
        },
        idle_s: status.map(|s| s.idle_s).or(number("idle")),
        beat_s: beat
            .and_then(|b| b.time("written"))
            .and_then(|t| around.now.duration_since(t).ok())
            .map(|d| d.as_secs()),
        pane: match seat {
            None => Pane::None,
            Some(seat) if seat.dead => Pane::Dead,
            Some(_) => Pane::Alive,
        },
        session: seat.map(|s| s.session.clone()),
        attached_pid: status.and_then(|s| s.attached_pid),
        tmux_clients: clients,
        // What is here says nothing of another host's.
        unit: from
            .unit
            .clone()
            .filter(|_| from.elsewhere(around).is_none()),
        host: given(&get("host")).unwrap_or_else(|| around.host.to_owned()),
        tenant_id: given(&get("tenant_id")).unwrap_or_else(|| around.tenant.to_owned()),
        last_verdict: status.and_then(|s| Some(s.last_receipt.as_ref()?.verdict.word())),
        last_receipt: status
            .and_then(|s| s.last_receipt.as_ref())
            .map(|r| LastReceipt {
                id: r.id.clone(),
                verdict: r.verdict.word(),
                age_s: unix_ms(around.now).saturating_sub(r.at_ms) / 1_000,
            }),
        flags: flagged.iter().map(|f| f.flag).collect(),
        flagged,
    }
}

/// The pane to show: that of the sidecar, else the one with the agent's name.
fn seat<'a>(from: &'a Sources, status: Option<&Status>) -> Option<&'a Seat> {
    let sidecar = match status {
        Some(status) => i32::try_from(status.sidecar).ok(),
        None => from.beating(),
    };
    let its_own = |seat: &&Seat| seat.sidecar.is_some() && seat.sidecar == sidecar;
    from.seats
        .iter()
        .find(its_own)
        // A sidecar that answers and is in no pane is headless, whatever has its name.
        .or_else(|| from.seats.first().filter(|_| status.is_none()))
}

/// Who has that pane on a terminal: in its session, and in every other one that shares the window.
fn clients(from: &Sources, seat: Option<&Seat>) -> Vec<TmuxClient> {
    let same = |other: &&Seat| seat.is_some_and(|s| s.pid == other.pid && s.socket == other.socket);
    let seats = from.seats.iter().filter(same);
    let mut clients: Vec<TmuxClient> = seats.flat_map(|s| s.clients.iter().copied()).collect();
    // A window can be in one session twice.
    clients.sort_by_key(|client| client.pid);
    clients.dedup();
    clients
}

/// Whether it lives, what it does, and why one may doubt it.
struct Life {
    health: Health,
    state: &'static str,
    why: String,
}

fn life(
    from: &Sources,
    around: &Around<'_>,
    vouched: &Result<&Status, String>,
    clients: &[TmuxClient],
) -> Life {
    let (mut health, mut why) = match &from.beat {
        Some(Ok(beat)) => beat.health(around.now, around.boot),
        Some(Err(why)) => (Health::Unknown, format!("its heartbeat: {why}")),
        None => (Health::Unknown, String::new()),
    };
    if let Some(host) = from.elsewhere(around) {
        return Life {
            health: Health::Unknown,
            state: "unknown",
            why: format!("it runs on {host}: from here only its heartbeat can be seen"),
        };
    }
    let beat_state = from.found().and_then(Found::state);
    let state = match (vouched, beat_state) {
        (Ok(status), _) if gone(from, status) => {
            let pid = status.pid;
            (health, why) = (
                Health::Unknown,
                format!("no process {pid} runs below its sidecar"),
            );
            "unknown"
        }
        (Ok(status), _) => {
            let sidecar = i32::try_from(status.sidecar).ok();
            if from.beat.is_none() {
                why = "it has no heartbeat".into();
            } else if from.beating().is_some() && from.beating() != sidecar {
                (health, why) = (
                    Health::Unknown,
                    "the heartbeat is not of the sidecar that answers".into(),
                );
            } else if !matches!(status.state, State::Ready | State::Busy) && why.is_empty() {
                why.clone_from(&status.why);
            }
            status.state.word()
        }
        (Err(_), Some(State::Exited)) => {
            why = ended(from);
            State::Exited.word()
        }
        (Err(silence), _) => {
            if health == Health::Healthy {
                // The file is fresh and nobody stands behind it: it is about to go stale.
                health = Health::Stale;
                why.clone_from(silence);
            } else if from.beat.is_none() {
                why = absent(from, silence);
            }
            "unknown"
        }
    };
    let mut add = |more: String| {
        if !why.is_empty() {
            why.push_str("; ");
        }
        why.push_str(&more);
    };
    let attached = vouched.as_ref().ok().and_then(|s| s.attached_pid);
    if let Some(pid) = attached {
        add(format!("pid {pid} is attached"));
    }
    for (readonly, does) in [(false, "is attached"), (true, "looks on")] {
        // Who came by `attach` from a terminal is tmux now, and was told already.
        let others = clients.iter().filter(|client| {
            client.readonly == readonly && u64::try_from(client.pid).ok() != attached
        });
        let pids: Vec<String> = others.map(|client| client.pid.to_string()).collect();
        if !pids.is_empty() {
            add(format!("pid {} {does} by tmux", pids.join(", ")));
        }
    }
    if let Some(Err(complaint)) = &from.described {
        add(format!("its environment file: {complaint}"));
    }
    Life { health, state, why }
}

/// Whether the runtime that a sidecar tells of is not to be found.
fn gone(from: &Sources, status: &Status) -> bool {
    status.pid > 0
        && status.state != State::Exited
        && !from.processes.iter().any(|p| p.pid == status.pid)
}

fn ended(from: &Sources) -> String {
    let get = |key: &str| from.found().and_then(|b| b.get(key)).unwrap_or("");
    let mut why = format!("the runtime ended ({})", get("exit"));
    if !get("reason").is_empty() {
        why.push_str(&format!(", sidecar {}", get("reason")));
    }
    why
}

/// Why there is a row for something that has no heartbeat and does not answer.
fn absent(from: &Sources, silence: &str) -> String {
    let stranger = from.seats.iter().find(|seat| seat.sidecar.is_none());
    if let Some(unit) = &from.unit
        && unit.active == "failed"
    {
        return format!("its unit has failed ({})", unit.result);
    }
    if let Some(seat) = from.seats.iter().find(|seat| seat.sidecar.is_some()) {
        let pid = seat.pid;
        return format!(
            "pid {pid} is its sidecar in tmux, and has neither heartbeat nor socket here"
        );
    }
    match (stranger, &from.described) {
        (Some(seat), _) if seat.dead => "a tmux session whose process has ended".into(),
        (Some(seat), _) => flags::nobodys(seat),
        _ if from.unit.as_ref().is_some_and(Unit::is_up) => {
            "its unit is up, and it has no heartbeat".into()
        }
        (None, Some(Ok(file))) => format!("not started; described in {file}"),
        _ => silence.to_owned(),
    }
}

#[cfg(test)]
mod tests;

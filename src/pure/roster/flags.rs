//! What needs somebody's attention, beyond an agent's own state.

use serde::Serialize;

use super::units::{self, Unit};
use super::{Around, Flagged, Owner, Seat, Sources};
use crate::pure::beat::Found;
use crate::pure::wire::{State, Status};

/// One thing that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// What runs is not what was asked for.
    Drift,
    /// It runs and would not be back after a reboot.
    Boot,
    /// A session on the fleet's socket that no agent owns.
    Unmanaged,
    /// An agent that runs without a unit: nobody would restart it.
    Orphan,
    /// Two claim to be it.
    Owner,
}

impl Flag {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Flag; 5] = [
        Flag::Drift,
        Flag::Boot,
        Flag::Unmanaged,
        Flag::Orphan,
        Flag::Owner,
    ];

    /// The word used in `ps`.
    pub fn word(self) -> &'static str {
        match self {
            Flag::Drift => "drift",
            Flag::Boot => "boot",
            Flag::Unmanaged => "unmanaged",
            Flag::Orphan => "orphan",
            Flag::Owner => "owner",
        }
    }
}

/// The flags of an agent. `status` is what its own sidecar has answered.
pub(super) fn raised(from: &Sources, around: &Around<'_>, status: Option<&Status>) -> Vec<Flagged> {
    // What happens on another host cannot be seen from here.
    if from.elsewhere(around).is_some() {
        return Vec::new();
    }
    let lives = status.filter(|s| s.state != State::Exited);
    Flag::ALL
        .into_iter()
        .filter_map(|flag| {
            let why = match flag {
                Flag::Drift => drift(from, around, lives?),
                Flag::Boot => boot(from.unit.as_ref()?, around.linger),
                Flag::Unmanaged => unmanaged(from, lives),
                Flag::Orphan => orphan(from.unit.as_ref()?, from, lives),
                Flag::Owner => owner(from, lives),
            };
            why.map(|why| Flagged { flag, why })
        })
        .collect()
}

fn drift(from: &Sources, around: &Around<'_>, status: &Status) -> Option<String> {
    let asked = from.asked.as_ref()?;
    // A wrapper that is still on its way to the runtime is no other runtime.
    let known = around.profiles.identify(&from.processes).is_some();
    if status.state == State::Starting && !known {
        return None;
    }
    let runs = asked.differs(&from.processes, around.profiles)?;
    let asked = asked.runtime(around.profiles)?;
    Some(format!("asked for {asked}, {runs} runs"))
}

fn boot(unit: &Unit, linger: Option<bool>) -> Option<String> {
    if !unit.is_up() {
        return None;
    }
    let instance = unit.name.trim_end_matches(".service");
    match (unit.is_enabled(), linger) {
        (false, _) => Some(format!(
            "{instance} is up and not enabled: systemctl --user enable {instance}"
        )),
        (true, Some(false)) => {
            Some("without linger it ends at the last log-out: loginctl enable-linger".into())
        }
        _ => None,
    }
}

fn unmanaged(from: &Sources, lives: Option<&Status>) -> Option<String> {
    // One with the name of a living agent is that agent's matter.
    let stranger = from.seats.iter().find(|s| s.sidecar.is_none() && !s.dead);
    let beats = from.beating().is_some();
    stranger.filter(|_| lives.is_none() && !beats).map(nobodys)
}

/// A session that no agent owns, in words.
pub(super) fn nobodys(seat: &Seat) -> String {
    format!("no agent owns the session: {} runs in it", seat.command)
}

fn orphan(unit: &Unit, from: &Sources, lives: Option<&Status>) -> Option<String> {
    lives?;
    if unit.is_up() {
        return None;
    }
    let name = units::of_agent(&from.agent);
    Some(format!("it runs, and {name} is {}", unit.active))
}

/// Everybody who claims to be the sidecar must be one and the same.
fn owner(from: &Sources, lives: Option<&Status>) -> Option<String> {
    let answers = lives.and_then(|s| i32::try_from(s.sidecar).ok());
    let beats = from.beating();
    let locks = match from.owner {
        Owner::Pid(pid) => Some(pid),
        Owner::Nobody | Owner::Untold => None,
    };
    let said = |status: &super::Answer| i32::try_from(status.status.sidecar).ok();
    let stranger = from
        .answer
        .as_ref()
        .ok()
        .filter(|answer| answer.agent == from.agent)
        .and_then(|answer| said(answer));
    let mut claims: Vec<(String, i32)> = Vec::new();
    let mut claim = |who: &str, pid: Option<i32>| {
        if let Some(pid) = pid
            && claims.iter().all(|(_, other)| *other != pid)
        {
            claims.push((who.to_owned(), pid));
        }
    };
    claim("holds the lock", locks);
    claim("answers on the socket", stranger);
    claim("writes the heartbeat", beats);
    for seat in &from.seats {
        claim(
            &format!("sits in the session {}", seat.session),
            seat.sidecar.filter(|_| !seat.dead),
        );
    }
    if claims.len() > 1 {
        let claims: Vec<String> = claims
            .into_iter()
            .map(|(who, pid)| format!("pid {pid} {who}"))
            .collect();
        return Some(format!("two claim it: {}", claims.join(", ")));
    }
    let named = from.found().and_then(Found::state).is_some() || answers.is_some();
    let stranger = from.seats.iter().find(|s| s.sidecar.is_none() && !s.dead);
    let owned = answers.or(beats).filter(|_| named)?;
    stranger.map(|seat| {
        format!(
            "pid {owned} is its sidecar, and {} runs in a session of its name",
            seat.command
        )
    })
}

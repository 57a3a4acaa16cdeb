//! What the harness wants done, done: every input goes in here, and every effect that follows from it is performed.
//! Nothing is decided here but how.

use std::time::{Instant, SystemTime};

use super::{AtWork, now};
use crate::os::{files, process};
use crate::pure::beat::Beat;
use crate::pure::delivery::{Life, Pulse};
use crate::pure::events::{Field, Kind};
use crate::pure::harness::{Asker, Effect, Ended, Input, Reading};
use crate::pure::journal::{Fact, Line};
use crate::pure::message::{PASTE_END, PASTE_START};
use crate::pure::profile::ProcessFacts;
use crate::pure::receipt::Verdict;
use crate::verbs::documents;

impl AtWork {
    pub(super) fn read_records(&mut self) {
        for recorded in self.records.look() {
            self.handle(Input::Recorded(&recorded));
        }
    }

    pub(super) fn mark_records(&mut self) {
        if let Some(profile) = self.harness.profile() {
            self.records.mark(profile, self.harness.running().pid);
        }
        let open = Input::RecordsOpen(self.records.is_open());
        self.harness.handle(open, now());
    }

    /// One input, and every effect that follows from it.
    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.harness.handle(input, now());
        while let Some(effect) = self.harness.poll() {
            self.perform(effect);
        }
    }

    pub(super) fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Type {
                job,
                bytes,
                if_outer,
                keys_wait,
            } => {
                let paste = bytes.starts_with(PASTE_START);
                let tail = if paste { PASTE_END.len() } else { 0 };
                let with_input = self.recording.as_ref().is_some_and(|r| r.input);
                self.typed = with_input.then(|| bytes.clone());
                self.pump.inject(job.0, bytes, tail, if_outer, keys_wait);
            }
            Effect::LetKeysPass => self.pump.let_keys_pass(),
            Effect::Cancel(job) => self.pump.cancel(job.0),
            Effect::Pulse => {
                let pulse = self.pulse();
                self.harness.handle(Input::Pulse(pulse), now());
            }
            Effect::Identify => {
                let processes = facts(process::family(self.sidecar.child));
                self.harness.handle(Input::Processes(&processes), now());
            }
            Effect::Journal { line, sync, asker } => self.write_down(&line, sync, asker),
            Effect::Records(Reading::Mark) => {
                self.read_records();
                self.mark_records();
            }
            Effect::Records(Reading::On) => {
                if !self.records.is_open() {
                    self.mark_records();
                }
                self.records.announce();
                self.read_records();
            }
            Effect::Records(Reading::Off) => self.records.end(),
            Effect::Beat => self.beat(),
            Effect::Changed(was, state, why) => self.changed(was, state, &why),
            Effect::Observed(receipt) => self.events.observed(SystemTime::now(), &receipt),
            // Told when it is written to the journal, like every fate.
            Effect::Revised(_) => {}
            Effect::Answer(asker, receipt) => {
                if receipt.verdict == Verdict::Rejected {
                    self.events.settled(SystemTime::now(), &receipt);
                }
                if let Some(client) = self.waiting.remove(&asker) {
                    let origin = self.origin();
                    self.clients
                        .answer(client, &documents::receipt_line(origin, *receipt));
                }
            }
        }
    }

    fn write_down(&mut self, line: &Line, sync: bool, asker: Option<Asker>) {
        let failed = self.journal.append(line, sync).err();
        match (&line.fact, &line.receipt) {
            (Fact::Held, _) if failed.is_none() => {
                self.happened(Kind::Held, &[("id", Field::Text(&line.id))]);
            }
            (_, Some(receipt)) => {
                self.events.settled(SystemTime::now(), receipt);
                self.mark(receipt.verdict.word(), &line.id);
            }
            (Fact::Typing, _) => self.mark("typing", &line.id),
            _ => {}
        }
        if let Some(asker) = asker {
            let why = failed.map(|e| e.to_string());
            let kept = Input::Kept(asker, &line.id, why.as_deref());
            self.harness.handle(kept, now());
        }
        if self.journal.is_long() {
            self.journal.begin(&self.harness.journal(now()));
        }
    }

    /// The kernel's word on the runtime, or on the process we started where the runtime has ended.
    pub(super) fn pulse(&self) -> Pulse {
        let life = |pid| match process::state_letter(pid) {
            Some('T' | 't') => Life::Stopped,
            Some('Z' | 'X' | 'x') => Life::Zombie,
            Some(_) => Life::Running,
            None => Life::Gone,
        };
        let child = self.sidecar.child;
        let running = self.harness.running().pid;
        let (pid, life) = match life(running) {
            Life::Running | Life::Stopped => (running, life(running)),
            Life::Zombie | Life::Gone => (child, life(child)),
        };
        Pulse {
            at: Instant::now(),
            pid,
            raw: self.sidecar.pty.is_raw(),
            unread: self.sidecar.pty.unread().unwrap_or(0),
            front: self.sidecar.pty.foreground(),
            life,
        }
    }

    /// Writes the heartbeat. A disk that is full leaves the old one, which then goes stale: the truth.
    pub(super) fn beat(&mut self) {
        self.seq += 1;
        let now = now();
        let (state, _) = self.harness.state();
        let proven = self.harness.proven_alive();
        let idle = now
            .mono
            .saturating_duration_since(self.harness.last_output());
        let ended = self.harness.ended();
        let sidecar = &self.sidecar;
        let settings = &sidecar.place.settings;
        let running = self.harness.running();
        let beat = Beat {
            ts: proven.map_or(sidecar.started, |p| p.wall),
            pid: if ended.is_some() {
                0
            } else {
                match running.pid {
                    0 => sidecar.child,
                    pid => pid,
                }
            },
            state,
            written: now.wall,
            seq: self.seq,
            interval: settings.interval.as_secs(),
            boot: sidecar.boot.clone(),
            mono: process::boot_seconds(),
            sidecar: std::process::id(),
            started: sidecar.started,
            sock: sidecar.socket_path.display().to_string(),
            tenant_id: sidecar.place.tenant().to_owned(),
            host: sidecar.place.host.clone(),
            runtime: match running.name.as_str() {
                "" => settings.runtime.clone(),
                name => name.to_owned(),
            },
            version: running.version.clone(),
            model: settings.model.clone(),
            idle: idle.as_secs(),
            tmux: sidecar.tmux_socket.clone(),
            exit: ended.map(Ended::words),
            reason: self.ending.reason.map(str::to_owned),
        };
        let path = sidecar.place.heartbeat(&sidecar.name);
        if let Err(e) = files::replace(&path, beat.render().as_bytes()) {
            tracing::warn!("writing the heartbeat {}: {e}", path.display());
        }
    }
}

/// What the kernel says of processes, as what decides takes it.
pub(in crate::verbs) fn facts(processes: Vec<process::Process>) -> Vec<ProcessFacts> {
    processes
        .into_iter()
        .map(|p| ProcessFacts {
            pid: p.pid,
            parent: p.parent,
            exe: p.exe,
            argv: p.argv,
            script: p.script,
            version: p.version,
        })
        .collect()
}

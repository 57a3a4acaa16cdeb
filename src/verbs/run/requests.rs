//! What clients ask for: who may, and who answers.

use super::*;

impl AtWork {
    pub(super) fn take_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Request {
                client,
                asker,
                peer,
                request,
            } => {
                let refused = match request.op.as_str() {
                    // A hook's word counts for the session it runs in, and for no other.
                    "hook" if !is_there(peer) || !self.is_of_this_session(peer.pid) => {
                        Some("only this agent's own runtime may say so")
                    }
                    op => self.refusal(op, peer),
                };
                if let Some(why) = refused {
                    return self.refuse(client, why);
                }
                self.answer(client, asker, peer, request);
            }
            Heard::Gone { asker } => self.forget_asker(asker),
        }
    }

    /// The connection of a request is gone.
    pub(super) fn forget_asker(&mut self, asker: Asker) {
        self.forget_poll(asker);
        if self.waiting.remove(&asker).is_some() {
            self.handle(Input::AskerGone(asker));
        }
    }

    pub(super) fn answer(
        &mut self,
        client: server::ClientId,
        asker: Asker,
        peer: Peer,
        request: Box<Request>,
    ) {
        let ended = self.harness.ended().is_some();
        match request.op.as_str() {
            "status" | "probe" => {
                if !ended {
                    self.perform(Effect::Pulse);
                    if request.op == "probe" {
                        self.perform(Effect::Identify);
                        self.perform(Effect::Beat);
                    }
                    self.handle(Input::Tick);
                }
                let line = self.status_line();
                self.clients.answer(client, &line);
            }
            "send" => {
                self.waiting.insert(asker, client);
                let me = format!("{}:{}", self.sidecar.place.host, self.sidecar.name);
                self.handle(Input::Send(asker, request, &me));
            }
            "verify" => {
                let line = documents::verify(&self.harness, self.origin(), &request);
                self.clients.answer(client, &line);
            }
            "screen" | "events" | "history" => self.take_poll(client, asker, request),
            "explain" => {
                let line = documents::explain_line(&self.harness, self.origin());
                self.clients.answer(client, &line);
            }
            "hook" => self.take_hook(client, *request),
            "stop" => self.take_stop(client, &request),
            "keys" => self.take_keys(client, &request),
            "record" => self.take_record(client, &request),
            "upgrade" => self.take_upgrade(client, &request),
            "attach" => self.take_attach(client, peer, &request),
            "input" => self.take_input(client, &request),
            op => {
                let message = format!(
                    "this sidecar ({}) does not know the operation {op:?}",
                    env!("CARGO_PKG_VERSION")
                );
                let line =
                    documents::error_line(self.origin(), "unknown_op", &message, exit::USAGE);
                self.clients.answer(client, &line);
            }
        }
    }

    /// Why a peer may not ask for this; `None` if it may.
    pub(super) fn refusal(&mut self, op: &str, peer: Peer) -> Option<&'static str> {
        let power = powers::needed(op)?;
        let refused = match power {
            Power::Observe => None,
            Power::Message | Power::Control => powers::refusal(power, standing(peer)),
        };
        if power == Power::Control {
            let (pid, uid) = (peer.pid, peer.uid);
            match refused {
                // Rare, and the first thing to be asked afterwards: at the level that is always written.
                None => tracing::warn!("{op}: asked for by pid {pid} (uid {uid})"),
                Some(why) => tracing::warn!("{op}: refused to pid {pid} (uid {uid}): {why}"),
            }
            self.acted(op, peer, refused);
        }
        refused
    }

    /// Whether a process speaks for the runtime of this session: the runtime itself, or what it called.
    pub(super) fn is_of_this_session(&self, pid: i32) -> bool {
        match self.harness.running().pid {
            0 => process::descends_from(pid, self.sidecar.child),
            runtime => process::generations(pid, runtime).is_some_and(|n| n <= HOOK_BELOW),
        }
    }

    pub(super) fn take_hook(&mut self, client: server::ClientId, request: Request) {
        let rule = self.harness.profile().map(|p| &p.hooks);
        let line = match self.hooks.take(&request, rule, SystemTime::now()) {
            Ok(recorded) => {
                let prompt = recorded.is_some();
                if let Some(recorded) = recorded {
                    self.handle(Input::Recorded(&recorded));
                }
                documents::hook_line(self.origin(), request.event, prompt)
            }
            Err(why) => documents::error_line(self.origin(), "bad_field", why, exit::USAGE),
        };
        self.clients.answer(client, &line);
    }

    pub(super) fn status_line(&self) -> Vec<u8> {
        let settings = &self.sidecar.place.settings;
        let facts = documents::Facts {
            child: self.sidecar.child,
            asked_runtime: match settings.runtime_asked {
                true => &settings.runtime,
                false => "",
            },
            model: &settings.model,
            model_failures: self.panics,
            record_trouble: self.records.trouble(),
            journal_trouble: self.journal.trouble.as_deref(),
            hooks: &self.hooks,
            upgrades: self.upgrades,
            viewers: self.readers(),
            attached: self.attached().map(|who| (who.pid, who.since_ms)),
            recording: self.recording.as_ref().map(Recording::state),
            recording_trouble: self.recording_trouble.as_deref(),
        };
        documents::status_line(&self.harness, self.origin(), &facts, now())
    }
}

/// Where a process stands. A sidecar adopts what its runtime leaves behind, so all of it descends from the sidecar.
fn standing(peer: Peer) -> Standing {
    let pid = peer.pid;
    if pid > 0 && !is_there(peer) {
        return Standing::Gone;
    }
    let me = process::me();
    match process::has_ancestor(pid, |pid| pid == me) {
        Some(true) => Standing::Own,
        Some(false) => match process::has_ancestor(pid, is_our_program) {
            Some(true) => Standing::Other,
            Some(false) => Standing::Free,
            None => Standing::Unseen,
        },
        None => Standing::Unseen,
    }
}

/// Whether the process that has connected is still there, and not another one with its pid.
fn is_there(peer: Peer) -> bool {
    peer.started.is_some() && process::start_ticks(peer.pid) == peer.started
}

/// Whether a process runs `mosaic-agent`: what has children and does so is a sidecar.
fn is_our_program(pid: i32) -> bool {
    // A file that was replaced since is shown with ` (deleted)` behind its name.
    process::executable(pid)
        .as_deref()
        .and_then(std::path::Path::file_name)
        .is_some_and(|name| name.as_bytes().starts_with(b"mosaic-agent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_the_pid_of_the_one_that_connected_has_not_its_powers() {
        let pid = process::me();
        let started = process::start_ticks(pid);
        let peer = |started| Peer {
            pid,
            uid: 0,
            started,
        };
        assert_ne!(standing(peer(started)), Standing::Gone);
        assert_eq!(standing(peer(Some(0))), Standing::Gone);
        assert_eq!(standing(peer(None)), Standing::Gone);
    }
}

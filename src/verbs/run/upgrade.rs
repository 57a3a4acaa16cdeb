//! The sidecar replaced by another binary: same process, same descriptors, and the runtime notices nothing.
//!
//! The new binary is asked first, with all that it would have to take over, whether it can. Then the pump stands
//! still, what it has seen goes into the model, and everything is handed over by one document in memory. Should the
//! last step fail, everything goes on as if it had not been tried.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::{AtWork, now};
use crate::failure::{Doing, Failure, exit};
use crate::os::pump::Batch;
use crate::os::{process, replace};
use crate::pure::handover::{self, CarriedPoll, Descriptors, Handover};
use crate::pure::harness::{Effect, Harness, Input};
use crate::pure::profile::Profiles;
use crate::pure::receipt::unix_ms;
use crate::pure::wire::{self, Request, UpgradeLine};
use crate::units::TermSize;
use crate::verbs::documents;
use crate::verbs::recording::Recording;
use crate::verbs::server::{ClientId, Clients, Handed, Heard};

/// How long a moment is waited for at which nothing is on its way, unless the caller says otherwise.
const WITHIN: Duration = Duration::from_secs(30);

/// How often that is looked at; what ends the wait wakes the loop anyway.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The new binary says within this time whether it can take over. It reads a document and draws a screen.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// An upgrade that was asked for.
pub(super) struct Upgrade {
    client: ClientId,
    program: PathBuf,
    until: Instant,
}

/// What the binary before has left, in the document with this descriptor number.
pub(super) fn left(number: i32) -> Result<Handover, Failure> {
    let doing = || "taking over from the sidecar before".to_owned();
    let document = replace::adopt(number)
        .and_then(replace::read)
        .doing(doing)?;
    handover::parse(&document).map_err(|e| Failure::new(exit::INTERNAL, doing(), e))
}

/// The connections, by the descriptors that were left open.
pub(super) fn adopt_clients(handover: &mut Handover) -> (Vec<Handed>, u64) {
    let carried = std::mem::take(&mut handover.clients);
    let handed = carried.into_iter().filter_map(|client| {
        let fd = replace::adopt(client.fd).ok()?;
        Some((client, fd))
    });
    (handed.collect(), handover.last_client)
}

/// `run --can-take-over`: reads a handover on standard input and says whether this binary can go on with it.
///
/// # Errors
/// Why it cannot.
pub(in crate::verbs) fn can_take_over(document: &[u8]) -> Result<u8, Failure> {
    let refused = |e| Failure::new(exit::CONFIG, "reading the handover", e);
    let handover = handover::parse(document).map_err(refused)?;
    let size = TermSize::of(handover.size);
    let carried = (handover.harness, handover.drawing.as_slice());
    let interval = Duration::from_secs(1);
    let harness = Harness::resume(
        Profiles::with(&[]),
        (size, interval),
        String::new(),
        carried,
        now(),
    );
    // The two need not draw alike, but they must agree on what the screen is.
    let seen = harness.screen().fingerprint();
    if handover.fingerprint.is_some_and(|sent| sent != seen) {
        return Err(refused("it would see another screen".into()));
    }
    crate::verbs::print(concat!(env!("CARGO_PKG_VERSION"), "\n"));
    Ok(exit::OK)
}

impl AtWork {
    /// `upgrade`: answered by the new binary, or with the reason why there is none.
    pub(super) fn take_upgrade(&mut self, client: ClientId, request: &Request) {
        let program = PathBuf::from(request.path.as_deref().unwrap_or_default());
        let refused = match self.unfit(&program) {
            _ if self.upgrade.is_some() => Some((exit::LATER, "it is being upgraded already")),
            _ if self.ending.is_ending() => Some((exit::LATER, "it is being stopped")),
            _ if self.up.is_some() => Some((exit::LATER, "it is still starting")),
            Some(why) => Some((exit::USAGE, why)),
            None => None,
        };
        if let Some((code, why)) = refused {
            return self.refuse_upgrade(client, code, why);
        }
        let within = request.timeout_ms.map_or(WITHIN, Duration::from_millis);
        self.harness.pause(true);
        self.upgrade = Some(Upgrade {
            client,
            program,
            until: Instant::now() + within,
        });
    }

    fn unfit(&self, program: &Path) -> Option<&'static str> {
        let named = program.file_name().map(std::ffi::OsStr::to_string_lossy);
        let executable = std::fs::metadata(program)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
        if !program.is_absolute() || !executable {
            Some("`path` is no absolute path of an executable file")
        } else if !named.is_some_and(|name| name.starts_with("mosaic-agent")) {
            // By its name a sidecar is told from what is not one, when it is asked who may control.
            Some("the program's name must begin with mosaic-agent")
        } else {
            None
        }
    }

    fn refuse_upgrade(&mut self, client: ClientId, code: u8, why: &str) {
        let line = documents::error_line(self.origin(), "not_upgraded", why, code);
        self.clients.answer(client, &line);
    }

    /// When an upgrade that waits wants to go on.
    pub(super) fn next_upgrade(&self) -> Option<Instant> {
        let upgrade = self.upgrade.as_ref()?;
        Some((Instant::now() + LOOK_EVERY).min(upgrade.until))
    }

    /// Upgrades if that was asked for and nothing stands in the way; returns only if not, or if it failed.
    pub(super) async fn go_on_upgrading(
        &mut self,
        asked: &mut mpsc::Receiver<Heard>,
    ) -> Result<(), Failure> {
        let Some(upgrade) = &self.upgrade else {
            return Ok(());
        };
        let late = Instant::now() >= upgrade.until;
        let failed = match self.harness.unfit_to_hand_over(now()) {
            _ if self.ending.is_ending() => Some("it is being stopped".to_owned()),
            Some(why) if late => Some(format!("no moment to do it: {why}")),
            Some(_) => return Ok(()),
            None => None,
        };
        let code = match failed {
            Some(_) => exit::LATER,
            None => exit::CONFIG,
        };
        let program = upgrade.program.clone();
        let failed = match failed {
            Some(why) => why,
            None => match self.ask_whether_it_can(&program) {
                Err(why) => format!("{} cannot take over: {why}", program.display()),
                Ok(()) => match self.hand_over(&program, asked).await? {
                    Some(why) => why,
                    // Something had begun in the last moment: there will be another one.
                    None if !late => return Ok(()),
                    None => "no moment to do it: something begins every time".into(),
                },
            },
        };
        tracing::warn!("not upgraded: {failed}");
        if let Some(upgrade) = self.upgrade.take() {
            self.refuse_upgrade(upgrade.client, code, &failed);
        }
        self.harness.pause(false);
        Ok(())
    }

    /// Asks the new binary, while everything goes on.
    fn ask_whether_it_can(&self, program: &Path) -> Result<(), String> {
        let handover = Handover {
            drawing: self.drawing()?,
            fingerprint: Some(self.harness.screen().fingerprint()),
            ..self.handover()
        };
        let document = replace::document(&handover::render(handover)).map_err(|e| e.to_string())?;
        replace::ask_program(
            program,
            &["run", "--can-take-over"],
            document,
            ANSWERS_WITHIN,
        )?;
        Ok(())
    }

    fn drawing(&self) -> Result<Vec<u8>, String> {
        let drawing = self.harness.screen().drawing();
        drawing.ok_or_else(|| "the runtime is in the middle of a very long control string".into())
    }

    /// Stands still, hands over, and becomes the new binary. Returns why that failed, none if this was not the
    /// moment, with everything going on as before.
    async fn hand_over(
        &mut self,
        program: &Path,
        asked: &mut mpsc::Receiver<Heard>,
    ) -> Result<Option<String>, Failure> {
        let attached = self.attached().map(super::Takeover::carried);
        self.harness.stand_still(true);
        let mut unheard = Vec::new();
        let keep = || {
            while let Ok(heard) = asked.try_recv() {
                unheard.push(heard);
            }
        };
        let (mut clients, last_client) = self.clients.hand_over(keep).await;
        // What has come and was not looked at is asked again by the next binary.
        for heard in unheard {
            match heard {
                Heard::Gone { asker } => self.forget_asker(asker),
                Heard::Request {
                    client, request, ..
                } => {
                    if let Some((carried, _)) = clients.iter_mut().find(|c| c.0.id == client.0) {
                        let unread = std::mem::take(&mut carried.unread);
                        carried.unread = [wire::line(&*request), unread].concat();
                        carried.waits = false;
                        carried.asked = carried.asked.saturating_sub(1);
                    }
                }
            }
        }
        replace::hold_signals();
        let stopped = process::mono_micros();
        self.pump.stop();
        // What has come before they were held would be known to nobody any more.
        self.take_signals();
        let mut batch = Batch::default();
        self.pump.take(&mut batch);
        self.take_batch(&batch);
        // Who reads the terminal at this moment decides whether an unknown runtime's line is empty.
        self.perform(Effect::Pulse);
        self.handle(Input::Tick);
        self.harness.catch_up();
        let failed = match self.drawing() {
            Err(_) => None,
            Ok(_) if self.ending.is_ending() => Some("it is being stopped".into()),
            // The last bytes may have begun something.
            Ok(_) if self.harness.unfit_to_hand_over(now()).is_some() => None,
            Ok(drawing) => {
                let left = self.pump.left();
                let handover = Handover {
                    attached,
                    last_client,
                    stopped_us: stopped,
                    clients: clients.iter().map(|(carried, _)| carried.clone()).collect(),
                    drawing,
                    to_outer: left.to_outer,
                    to_inner: left.to_inner,
                    keys: left.keys,
                    ..self.handover()
                };
                let document = handover::render(handover);
                self.flush_recording(None);
                Some(self.become_next(program, &document, &clients).to_string())
            }
        };
        // Still here: everything goes on.
        self.stays_open(&clients, false)
            .doing(|| "going on".into())?;
        replace::release_signals();
        self.pump.go_on().doing(|| "going on".into())?;
        let listener = self.sidecar.listener.try_clone();
        self.clients = Clients::serve(
            listener.doing(|| "going on".into())?,
            self.ask.clone(),
            (clients, last_client),
            self.origin(),
        )
        .doing(|| "going on".into())?;
        if let Some((client, ..)) = attached {
            self.clients.may_be_silent(ClientId(client));
        }
        self.harness.stand_still(false);
        Ok(failed)
    }

    /// Becomes the new binary; returns only with the reason why that failed.
    fn become_next(&self, program: &Path, document: &[u8], clients: &[Handed]) -> std::io::Error {
        let document = match replace::document(document) {
            Ok(document) => document,
            Err(e) => return e,
        };
        let open =
            replace::stays_open(&document, true).and_then(|()| self.stays_open(clients, true));
        if let Err(e) = open {
            return e;
        }
        let recording = self.recording.as_ref().map(Recording::options);
        let argv = next_argv(
            std::env::args_os().collect(),
            replace::number(&document),
            recording.unwrap_or_default(),
        );
        replace::become_program(program, &argv)
    }

    fn stays_open(&self, clients: &[Handed], stays: bool) -> std::io::Result<()> {
        let sidecar = &self.sidecar;
        replace::stays_open(sidecar.pty.as_fd(), stays)?;
        replace::stays_open(&sidecar.listener, stays)?;
        for lock in &sidecar.locks {
            replace::stays_open(lock.as_fd(), stays)?;
        }
        clients
            .iter()
            .try_for_each(|(_, fd)| replace::stays_open(fd, stays))
    }

    /// All that the next binary must know, but for the connections.
    fn handover(&self) -> Handover {
        let sidecar = &self.sidecar;
        let number = |lock: &crate::os::files::Lock| replace::number(&lock.as_fd());
        let upgrade = self.upgrade.as_ref();
        Handover {
            version: env!("CARGO_PKG_VERSION").into(),
            upgrades: self.upgrades + 1,
            requester: upgrade.map(|upgrade| upgrade.client.0),
            held: Descriptors {
                master: replace::number(&sidecar.pty.as_fd()),
                listener: replace::number(&sidecar.listener),
                locks: sidecar.locks.iter().map(number).collect(),
            },
            terminal: sidecar.outer.as_ref().map(crate::os::tty::Outer::saved),
            child: sidecar.child,
            started_ms: unix_ms(sidecar.started),
            tmux: sidecar.tmux_socket.clone(),
            size: (sidecar.size.cols.into(), sidecar.size.rows.into()),
            seq: self.seq,
            panics: self.panics,
            hooks: self.hooks.clone(),
            harness: self.harness.carried(now()),
            events: self.events.carried(),
            waiting: self.waiting.iter().map(|(a, c)| (a.0, c.0)).collect(),
            polls: self.carried_polls(),
            ..Handover::default()
        }
    }

    fn carried_polls(&self) -> Vec<CarriedPoll> {
        let now = Instant::now();
        let carried = |poll: &super::Poll| poll.carried(now);
        self.polls.iter().map(carried).collect()
    }

    /// Tells who has asked for the upgrade that this is the new binary.
    pub(super) fn tell_upgraded(&mut self, handover: &Handover) {
        let paused = process::mono_micros().saturating_sub(handover.stopped_us);
        let origin = self.origin();
        tracing::info!("upgraded from {}: paused {paused} us", handover.version);
        let Some(client) = handover.requester else {
            return;
        };
        let line = wire::line(&UpgradeLine {
            schema: "mosaic.upgrade/1".into(),
            tenant_id: origin.tenant_id,
            host: origin.host,
            agent: origin.agent,
            from: handover.version.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            upgrades: handover.upgrades,
            paused_us: paused,
        });
        self.clients.answer(ClientId(client), &line);
    }
}

/// The arguments of the next binary: ours, with the document's number behind the verb. What else stands there tells
/// others how this agent was started.
fn next_argv(mut argv: Vec<OsString>, document: i32, recording: Vec<OsString>) -> Vec<OsString> {
    let verb = argv.iter().position(|arg| arg == "run").unwrap_or(0);
    if argv.get(verb + 1).is_some_and(|arg| arg == "--take-over") {
        argv.drain(verb + 1..(verb + 3).min(argv.len()));
    }
    let command = argv.iter().position(|arg| arg == "--");
    let command = argv.split_off(command.unwrap_or(argv.len()));
    let mut is_value = false;
    argv.retain(|arg| {
        let goes = is_value || arg.to_string_lossy().starts_with("--record");
        // The only one of them whose value may be an argument of its own.
        is_value = !is_value && arg == "--record-max";
        !goes
    });
    argv.extend(command);
    let mut next = vec!["--take-over".into(), document.to_string().into()];
    next.extend(recording);
    argv.splice(verb + 1..verb + 1, next);
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_binary_records_as_this_one_does_however_that_was_asked_for_at_first() {
        let argv = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        for options in [
            "",
            "--record --record-max 400000 --record-input ",
            "--record=f --record-max=4 ",
            "--take-over 3 --record=f ",
        ] {
            let before = argv(&format!("ma run {options}--size 8x9 a -- b --record c"));
            assert_eq!(
                next_argv(before, 7, argv("--record=g")),
                argv("ma run --take-over 7 --record=g --size 8x9 a -- b --record c"),
                "{options:?}"
            );
        }
    }
}

//! The end of an agent: asked for, by a signal or by itself, and with it of everything it has started.

use std::time::{Duration, Instant};

use nix::libc;

use super::{AtWork, now};
use crate::failure::exit;
use crate::os::family;
use crate::os::process::{self, Exit};
use crate::pure::harness::{Effect, Ended, Input};
use crate::pure::quit::{self, Next, Stop};
use crate::pure::wire::{self, Request, StopLine};
use crate::verbs::documents;
use crate::verbs::server::ClientId;

/// How long the runtime may take to end after SIGTERM before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A second signal this long after the first is somebody's impatience, not part of the same stop.
const ASKED_AGAIN: Duration = Duration::from_millis(200);

/// How long what the runtime has left behind may take to end after SIGTERM. A runtime behind a wrapper that
/// has ended before it is among that: codex took 1.5 s.
const LEFT_GRACE: Duration = Duration::from_secs(2);

/// Between two SIGKILLs to what is left: somebody may have been forked between our look and the signal.
const KILL_AGAIN: Duration = Duration::from_millis(50);

/// What has not ended so long after the first SIGKILL is not ours to end (a process of another user).
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// How long the runtime's last output may take to be shown after its end.
const DRAIN: Duration = Duration::from_secs(2);

/// The reason of an end that came from the outer terminal.
pub(super) const HANGUP: &str = "hangup";

/// The reason of an end that was asked for over the socket.
const STOPPED: &str = "stopped";

/// How far the end has come.
#[derive(Default)]
pub(super) struct Ending {
    /// Why, where that is not the runtime's own exit.
    pub(super) reason: Option<&'static str>,
    /// A stop that was asked for, and who waits for it.
    stop: Option<Stop>,
    clients: Vec<ClientId>,
    /// When the stop wants to go on.
    next: Option<Instant>,
    /// When the runtime is killed for not having ended.
    kill_at: Option<Instant>,
    /// The runtime's last output is shown.
    pub(super) drained: bool,
    left: Left,
}

/// What the runtime has left behind.
#[derive(Default)]
enum Left {
    /// The runtime lives: what it has started is its own business.
    #[default]
    Unknown,
    /// It was asked to end, and is killed then and again until the second moment.
    Ending(Instant, Instant),
    /// There is nothing, or nothing that we can end.
    Nothing,
}

impl Ending {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let left = match self.left {
            Left::Ending(at, _) => Some(at),
            Left::Unknown | Left::Nothing => None,
        };
        [self.next, self.kill_at, left].into_iter().flatten().min()
    }

    /// Nothing more is to be waited for.
    pub(super) fn is_over(&self) -> bool {
        self.drained && matches!(self.left, Left::Nothing)
    }

    /// Whether messages are still taken.
    pub(super) fn is_draining(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether the end has begun, however.
    pub(super) fn is_ending(&self) -> bool {
        self.stop.is_some() || self.kill_at.is_some() || !matches!(self.left, Left::Unknown)
    }

    fn note(&mut self, step: &'static str, result: &'static str) {
        if let Some(stop) = &mut self.stop {
            stop.note(step, result, Instant::now());
        }
    }
}

impl AtWork {
    /// `stop`: answered when the runtime has ended.
    pub(super) fn take_stop(&mut self, client: ClientId, request: &Request) {
        self.ending.clients.push(client);
        let now = now();
        let turn = (request.timeout_ms).map_or(quit::TURN, Duration::from_millis);
        if self.ending.stop.is_none() {
            self.ending.stop = Some(Stop::new(turn, now.mono));
            self.ending.reason.get_or_insert(STOPPED);
            self.harness.drain(now);
            let result = "new messages are turned away; what was sent to be kept is kept";
            self.ending.note("drain", result);
            self.perform(Effect::Pulse);
        }
        self.handle(Input::Tick);
    }

    /// Goes on with what was begun, as far as it goes now.
    pub(super) fn go_on(&mut self) {
        let mono = Instant::now();
        self.end_what_is_left(mono);
        if self.harness.ended().is_some() {
            return;
        }
        if self.ending.kill_at.is_some_and(|at| mono >= at) {
            self.ending
                .note("kill", "SIGKILL: it has not ended in time");
            self.signal_runtime(libc::SIGKILL);
            self.ending.kill_at = Some(mono + Duration::from_secs(1));
        }
        let at_work = self.harness.is_at_work();
        let Some(stop) = &mut self.ending.stop else {
            return;
        };
        if self.ending.kill_at.is_some() {
            self.ending.next = None;
            return;
        }
        let mut next = stop.next(at_work, mono);
        if let Next::Ask(number) = next {
            self.perform(Effect::Pulse);
            let asked = self.harness.quit(number, now());
            self.handle(Input::Tick);
            if let Some(stop) = &mut self.ending.stop {
                next = stop.asked(asked, mono);
            }
        }
        match next {
            Next::Wait(until) => self.ending.next = Some(until),
            Next::Ask(_) | Next::Signal => self.end_runtime(STOPPED),
        }
    }

    /// Ends the runtime: TERM, and KILL when its grace is over.
    ///
    /// Asked again by a signal, the grace ends at once. A hang-up comes twice by itself (SIGHUP and the
    /// end of the outer terminal) and shortens nothing.
    pub(super) fn end_runtime(&mut self, reason: &'static str) {
        if self.harness.ended().is_some() {
            return;
        }
        let now = Instant::now();
        if let Some(kill_at) = self.ending.kill_at {
            let asked_again = reason != HANGUP && now + GRACE >= kill_at + ASKED_AGAIN;
            if asked_again {
                self.ending.kill_at = Some(now);
            }
            return;
        }
        self.ending.reason.get_or_insert(reason);
        self.ending.kill_at = Some(now + GRACE);
        self.ending.note("term", "SIGTERM");
        self.handle(Input::Closing);
        self.signal_runtime(libc::SIGTERM);
        // A stopped process acts on TERM only once it runs again.
        self.signal_runtime(libc::SIGCONT);
    }

    /// Signals the runtime's own process group and the one in front of its terminal.
    fn signal_runtime(&self, signal: i32) {
        process::signal_group(self.sidecar.child, signal);
        if let Some(front) = self.sidecar.pty.foreground()
            && front != self.sidecar.child
        {
            process::signal_group(front, signal);
        }
    }

    /// Reaps the runtime; true once it is done.
    pub(super) fn runtime_ended(&mut self) -> bool {
        let ended = match process::reap(self.sidecar.child) {
            Ok(None) => return false,
            Ok(Some(Exit::Code(code))) => Ended::Code(code),
            Ok(Some(Exit::Signal(signal))) => Ended::Signal(signal),
            Err(e) => {
                tracing::warn!("waiting for the runtime: {e}");
                Ended::Code(1)
            }
        };
        let now = Instant::now();
        self.ending.note("ended", "the runtime");
        // Nobody goes on with the stop any more: what it waits for must not wake us for ever.
        self.ending.next = None;
        // What is left has at least as long as the runtime itself would have had.
        let kill_at = (now + LEFT_GRACE).max(self.ending.kill_at.take().unwrap_or(now));
        self.ending.left = Left::Ending(kill_at, kill_at + KILLED_WITHIN);
        for signal in [libc::SIGTERM, libc::SIGCONT] {
            family::signal(process::me(), signal);
        }
        self.pump.drain(now + DRAIN);
        self.handle(Input::Exited(ended));
        true
    }

    /// What the runtime has started ends with it, also what has left its session and its parents.
    fn end_what_is_left(&mut self, now: Instant) {
        let Left::Ending(at, until) = self.ending.left else {
            return;
        };
        if family::is_gone() {
            self.ending.left = Left::Nothing;
        } else if now >= until {
            tracing::warn!("processes that the runtime has started cannot be ended");
            self.ending.left = Left::Nothing;
        } else if now >= at {
            family::signal(process::me(), libc::SIGKILL);
            let result = "SIGKILL to what the runtime has left behind";
            self.ending.note("kill", result);
            self.ending.left = Left::Ending(now + KILL_AGAIN, until);
        }
    }

    /// Tells those who have asked for the end what was done.
    pub(super) fn tell_stopped(&mut self, ended: Ended) {
        let Some(stop) = self.ending.stop.take() else {
            return;
        };
        let origin = self.origin();
        let line = wire::line(&StopLine {
            schema: "mosaic.stop/1".into(),
            tenant_id: origin.tenant_id,
            host: origin.host,
            agent: origin.agent,
            exit: ended.words(),
            steps: stop.done,
        });
        for client in self.ending.clients.drain(..) {
            self.clients.answer(client, &line);
        }
    }

    /// Refuses a request.
    pub(super) fn refuse(&self, client: ClientId, why: &str) {
        let line = documents::error_line(self.origin(), "forbidden", why, exit::FORBIDDEN);
        self.clients.answer(client, &line);
    }
}

//! Requests that wait for something to happen: a reader asks for what is newer than what it has, and is answered
//! once there is such a thing. One request, one answer: who reads slowly asks seldom, and nothing piles up here.

use std::time::{Duration, Instant};

use super::AtWork;
use crate::pure::handover::CarriedPoll;
use crate::pure::harness::Asker;
use crate::pure::wire::{self, Request};
use crate::verbs::server::{self, ClientId};

/// A reader gets at most one answer in this time (ten a second, as smooth as a spinner needs): a flood is paid
/// for once per reader and frame, not per byte.
const ANSWER_EVERY: Duration = Duration::from_millis(100);

/// Longest wait for something new: less than the time after which a silent connection is closed.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A request that waits.
pub(super) struct Poll {
    client: ClientId,
    asker: Asker,
    request: Box<Request>,
    /// Not before, even if there is something.
    not_before: Instant,
    /// Not later, even if there is nothing.
    until: Instant,
}

impl Poll {
    /// Over an upgrade.
    pub(super) fn carried(&self, now: Instant) -> CarriedPoll {
        let left = self.until.saturating_duration_since(now).as_millis();
        CarriedPoll {
            client: self.client.0,
            asker: self.asker.0,
            request: String::from_utf8_lossy(&wire::line(&*self.request)).into_owned(),
            left_ms: u64::try_from(left).unwrap_or(0),
        }
    }

    /// Goes on with what was carried.
    pub(super) fn resume(carried: CarriedPoll, now: Instant) -> Option<Poll> {
        Some(Poll {
            client: ClientId(carried.client),
            asker: Asker(carried.asker),
            request: Box::new(wire::parse(carried.request.as_bytes()).ok()?),
            not_before: now,
            until: now + Duration::from_millis(carried.left_ms).min(WAIT_MAX),
        })
    }
}

impl AtWork {
    /// Answers a request now or, if it asks to wait and there is nothing new yet, later.
    pub(super) fn take_poll(&mut self, client: ClientId, asker: Asker, request: Box<Request>) {
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0)).min(WAIT_MAX);
        if wait.is_zero() {
            let line = self.poll_line();
            return self.clients.answer(client, &line);
        }
        let now = Instant::now();
        self.polls.push(Poll {
            client,
            asker,
            request,
            not_before: now + ANSWER_EVERY,
            until: now + wait,
        });
    }

    /// The connection of a request is gone.
    pub(super) fn forget_poll(&mut self, asker: Asker) {
        self.polls.retain(|poll| poll.asker != asker);
    }

    /// Whether there is something newer than what the request has.
    fn has_news(&self, request: &Request) -> bool {
        let after = request.after.unwrap_or(0);
        match request.op.as_str() {
            "screen" => {
                let screen = self.harness.screen();
                // A half drawn frame is nobody's news.
                screen.revision() > after && !screen.in_update()
            }
            _ => false,
        }
    }

    fn poll_line(&self) -> Vec<u8> {
        server::screen_line(&self.harness, self.origin())
    }

    /// Answers those whose time has come.
    pub(super) fn answer_polls(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(poll) = self.polls.get(at) {
            let due = now >= poll.until || now >= poll.not_before && self.has_news(&poll.request);
            if due || self.harness.ended().is_some() {
                let poll = self.polls.swap_remove(at);
                let line = self.poll_line();
                self.clients.answer(poll.client, &line);
            } else {
                at += 1;
            }
        }
    }

    /// When the next of them wants an answer if nothing happens before.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        self.polls
            .iter()
            .map(|poll| match self.has_news(&poll.request) {
                true => poll.not_before.min(poll.until),
                false => poll.until,
            })
            .min()
    }
}

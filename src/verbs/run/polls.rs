//! Requests that wait for something to happen: a reader asks for what is newer than what it has, and is answered
//! once there is such a thing. One request, one answer: who reads slowly asks seldom, and nothing piles up here.

use std::time::{Duration, Instant};

use super::{AtWork, now};
use crate::pure::events::{Field, Kind};
use crate::pure::handover::CarriedPoll;
use crate::pure::harness::Asker;
use crate::pure::wire::{self, Request, ScreenLine, State};
use crate::verbs::documents;
use crate::verbs::server::ClientId;

/// A reader gets at most one answer in this time (ten a second, as smooth as a spinner needs): a flood is paid
/// for once per reader and frame, not per byte.
const ANSWER_EVERY: Duration = Duration::from_millis(100);

/// All readers together get at most one answer in this time, so that a crowd of them does not slow the pane: more
/// than ten are each answered less often.
const ANSWER_ONE: Duration = Duration::from_millis(10);

/// A frame that is half drawn is not shown, unless it is for so long: a runtime that draws one frame behind the
/// other is hardly ever seen between two of them.
const HALF_DRAWN: Duration = Duration::from_millis(100);

/// Longest wait for something new: less than the time after which a silent connection is closed.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A request that waits.
pub(super) struct Poll {
    client: ClientId,
    asker: Asker,
    request: Box<Request>,
    /// The agent's state when it was asked: another one is news.
    state: State,
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
    pub(super) fn resume(carried: CarriedPoll, state: State, now: Instant) -> Option<Poll> {
        Some(Poll {
            client: ClientId(carried.client),
            asker: Asker(carried.asker),
            request: Box::new(wire::parse(carried.request.as_bytes()).ok()?),
            state,
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
            let line = self.poll_line(&request);
            return self.clients.answer(client, &line);
        }
        let now = Instant::now();
        if request.op == "screen" && !self.readers.contains(&client) {
            self.readers.retain(|reader| self.clients.is_open(*reader));
            self.readers.push(client);
            self.tell_viewers();
        }
        if request.op == "events" {
            self.events.reader_comes();
        }
        self.polls.push(Poll {
            client,
            asker,
            request,
            state: self.harness.state().0,
            not_before: now + self.until_next_frame(now),
            until: now + wait,
        });
    }

    /// Goes on with those of the sidecar before.
    pub(super) fn go_on_reading(&mut self, polls: Vec<Poll>) {
        let screens = polls.iter().filter(|poll| poll.request.op == "screen");
        self.readers = screens.map(|poll| poll.client).collect();
        self.viewers_told = self.readers.len();
        self.polls = polls;
    }

    /// Readers are answered all at once, so that they share the work.
    fn until_next_frame(&self, now: Instant) -> Duration {
        let crowd = u32::try_from(self.readers.len()).unwrap_or(u32::MAX);
        let every = ANSWER_EVERY
            .max(ANSWER_ONE.saturating_mul(crowd))
            .as_micros();
        let into = now.saturating_duration_since(self.since.mono).as_micros() % every;
        Duration::from_micros(u64::try_from(every - into).unwrap_or(u64::MAX))
    }

    /// How many connections have asked to wait for something new.
    pub(super) fn readers(&self) -> usize {
        let readers = self.readers.iter();
        readers
            .filter(|reader| self.clients.is_open(**reader))
            .count()
    }

    /// Tells how many watch, if that has changed. (Who leaves between two requests is noticed at the next tick.)
    pub(super) fn tell_viewers(&mut self) {
        let viewers = self.readers();
        if viewers != self.viewers_told {
            self.viewers_told = viewers;
            self.happened(Kind::Viewers, &[("viewers", Field::Number(viewers as u64))]);
        }
    }

    /// The connection of a request is gone.
    pub(super) fn forget_poll(&mut self, asker: Asker) {
        self.polls.retain(|poll| poll.asker != asker);
        self.tell_viewers();
    }

    /// Whether there is something newer than what the request has.
    fn has_news(&self, poll: &Poll) -> bool {
        let request = &poll.request;
        match request.op.as_str() {
            "screen" => {
                let after = request.after.unwrap_or(0);
                self.harness.screen().revision() > after || self.harness.state().0 != poll.state
            }
            "history" => {
                let (screen, history) = (self.harness.screen(), self.harness.history());
                // Who also shows the screen says which one it has.
                let redrawn = request.after.is_some_and(|after| screen.revision() > after);
                history.has_news(request.cursor.as_deref()) || redrawn && !screen.in_update()
            }
            _ => self.events.has_news(request.cursor.as_deref()),
        }
    }

    /// When a request is answered if nothing happens before.
    fn due(&self, poll: &Poll) -> Instant {
        let at = if self.harness.ended().is_some() {
            poll.not_before
        } else if !self.has_news(poll) {
            poll.until
        } else if self.harness.screen().in_update() {
            poll.not_before + HALF_DRAWN
        } else {
            poll.not_before
        };
        at.min(poll.until)
    }

    fn poll_line(&mut self, request: &Request) -> Vec<u8> {
        match request.op.as_str() {
            "screen" => self.screen_answer(request),
            "history" => {
                self.harness.catch_up();
                let (cursor, most) = (request.cursor.as_deref(), request.lines);
                let (screen, history) = (self.harness.screen(), self.harness.history());
                history.line(&self.origin(), screen, cursor, most.unwrap_or(u64::MAX))
            }
            _ => self.events.line(&self.origin(), request.cursor.as_deref()),
        }
    }

    fn screen_answer(&mut self, request: &Request) -> Vec<u8> {
        let screen = self.harness.screen();
        if request.cells != Some(true) {
            let rows = (0..screen.size().rows).map(|row| screen.row(row)).collect();
            return wire::line(&self.screen_line(Some(rows)));
        }
        let cells = self.changes.since(request.after.unwrap_or(0), screen);
        wire::with(wire::line(&self.screen_line(None)), "cells", &cells)
    }

    fn screen_line(&self, lines: Option<Vec<String>>) -> ScreenLine {
        let screen = self.harness.screen();
        let (cursor, size) = (screen.cursor(), screen.size());
        let (state, why) = self.harness.state();
        let modes = [
            ("alternate_screen", screen.alternate()),
            ("application_cursor", screen.application_cursor()),
            ("bracketed_paste", screen.bracketed_paste()),
            ("mouse", screen.mouse()),
            ("in_update", screen.in_update()),
        ];
        let origin = self.origin();
        ScreenLine {
            schema: "mosaic.screen/1".into(),
            tenant_id: origin.tenant_id,
            host: origin.host,
            agent: origin.agent,
            lines,
            cols: size.cols,
            rows: size.rows,
            cursor_row: cursor.row,
            cursor_col: cursor.col,
            cursor_visible: cursor.visible,
            modes: modes
                .iter()
                .filter(|mode| mode.1)
                .map(|mode| mode.0)
                .collect(),
            title: screen.title().to_owned(),
            state: state.word(),
            why: why.to_owned(),
            for_s: documents::seconds_since(self.harness.state_since().mono, now()),
            attached_pid: self.attached().map(|who| who.pid),
            hash: screen.hash_text(),
            revision: screen.revision(),
        }
    }

    /// The last answer to everybody who waits.
    pub(super) fn answer_all_polls(&mut self) {
        for poll in std::mem::take(&mut self.polls) {
            let line = self.poll_line(&poll.request);
            self.clients.answer(poll.client, &line);
        }
    }

    /// Answers those whose time has come.
    pub(super) fn answer_polls(&mut self, now: Instant) {
        let mut at = 0;
        // Readers that have the same want the same.
        let mut made: Option<(Request, Vec<u8>)> = None;
        while let Some(poll) = self.polls.get(at) {
            if now < self.due(poll) {
                at += 1;
                continue;
            }
            let Poll {
                client, request, ..
            } = self.polls.swap_remove(at);
            let line = match made.take() {
                Some((asked, line))
                    if asked.op == request.op
                        && asked.after == request.after
                        && asked.cells == request.cells
                        && asked.cursor == request.cursor
                        && asked.lines == request.lines =>
                {
                    line
                }
                _ => self.poll_line(&request),
            };
            self.clients.answer(client, &line);
            if request.op == "events" {
                self.events.reader_goes(now);
            }
            made = Some((*request, line));
        }
    }

    /// When the next of them wants an answer if nothing happens before.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        self.polls.iter().map(|poll| self.due(poll)).min()
    }
}

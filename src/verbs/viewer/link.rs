//! A connection that is made again whenever it is lost, and says what is wrong meanwhile.

use std::io;
use std::time::{Duration, Instant};

use crate::failure::{Failure, exit};
use crate::os::lines::Lines;
use crate::os::stage;
use crate::pure::wire::{self, PROTOCOL, Request};
use crate::units::AgentName;
use crate::verbs::ask;
use crate::verbs::place::Place;

/// After a connection was lost or refused, the next one is tried.
const RETRY: Duration = Duration::from_millis(500);

/// What has been asked is answered within this time, beyond what the question itself may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has come.
pub(super) enum Heard {
    /// The sidecar has said who it is: now it can be asked.
    Greeting,
    /// An answer.
    Answer(Vec<u8>),
    /// A refusal: its sentence and its exit code.
    Refusal(String, u8),
}

/// A connection to a sidecar, or the attempt at one.
pub(super) struct Link<'a> {
    place: &'a Place,
    name: &'a AgentName,
    pub(super) lines: Option<Lines>,
    greeted: bool,
    /// When the next attempt is due, or the next word.
    due: Instant,
    /// What is wrong, as long as something is.
    pub(super) trouble: Option<String>,
}

impl<'a> Link<'a> {
    pub(super) fn new(place: &'a Place, name: &'a AgentName, now: Instant) -> Link<'a> {
        Link {
            place,
            name,
            lines: None,
            greeted: false,
            due: now,
            trouble: None,
        }
    }

    /// Whether it can be asked.
    pub(super) fn is_up(&self) -> bool {
        self.greeted
    }

    /// When [`Link::step`] is to be called if nothing comes before.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Asks; the answer comes from [`Link::step`]. What cannot be asked now is not asked.
    pub(super) fn ask(&mut self, request: &Request, now: Instant) {
        let Some(lines) = self.lines.as_mut().filter(|_| self.greeted) else {
            return;
        };
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0));
        self.due = now + wait + PATIENCE;
        if let Err(e) = lines.send(&wire::line(request)) {
            self.lose(&e, now);
        }
    }

    /// Goes on with whatever has come; loses nothing of it.
    pub(super) fn step(&mut self, now: Instant) -> Option<Heard> {
        let Some(lines) = &mut self.lines else {
            if now >= self.due {
                let (path, _) = ask::socket_of(self.place, self.name);
                match Lines::connect(&path) {
                    Ok(lines) => (self.lines, self.due) = (Some(lines), now + PATIENCE),
                    Err(e) => self.lose(&e, now),
                }
            }
            return None;
        };
        match lines.flush().and_then(|()| lines.take()) {
            Ok(None) => {
                if now >= self.due {
                    self.trouble = Some("its sidecar does not answer; waiting".into());
                    self.due = now + PATIENCE;
                }
                None
            }
            Ok(Some(line)) => self.hear(line, now),
            Err(e) => {
                self.lose(&e, now);
                None
            }
        }
    }

    fn hear(&mut self, line: Vec<u8>, now: Instant) -> Option<Heard> {
        self.due = now + Duration::from_secs(3_600);
        let greeted = std::mem::replace(&mut self.greeted, true);
        // A picture is large and is read where it is drawn; anything else says what it is.
        if greeted && line.starts_with(b"{\"schema\":\"mosaic.screen/1\"") {
            self.trouble = None;
            return Some(Heard::Answer(line));
        }
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        if value.get("error").is_some() {
            let code = value.get("exit").and_then(serde_json::Value::as_u64);
            let code = code.and_then(|n| u8::try_from(n).ok());
            return Some(Heard::Refusal(
                text("message").to_owned(),
                code.unwrap_or(exit::INTERNAL),
            ));
        }
        if greeted {
            self.trouble = None;
            return Some(Heard::Answer(line));
        }
        if value.get("protocol").and_then(serde_json::Value::as_u64) == Some(PROTOCOL.into()) {
            return Some(Heard::Greeting);
        }
        self.lose(&io::Error::other("it does not speak our protocol"), now);
        None
    }

    /// The connection is gone; another one is tried soon.
    pub(super) fn lose(&mut self, why: &io::Error, now: Instant) {
        (self.lines, self.greeted, self.due) = (None, false, now + RETRY);
        let said = match why.kind() {
            // Said by the system of a socket behind which nobody is.
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => {
                let (_, beat) = ask::socket_of(self.place, self.name);
                ask::why_gone(self.name, beat.as_ref())
            }
            _ => why.to_string(),
        };
        self.trouble = Some(format!("{said}; trying again"));
    }

    /// Asks the first question and waits for its answer, without trying again.
    ///
    /// # Errors
    /// There is no such agent (3), it does not answer (75), or it refuses.
    pub(super) fn begin(&mut self, request: &Request) -> Result<Vec<u8>, Failure> {
        let doing = format!("asking the sidecar of {}", self.name);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Instant::now();
            match self.step(now) {
                Some(Heard::Greeting) => self.ask(request, now),
                Some(Heard::Answer(line)) => return Ok(line),
                Some(Heard::Refusal(why, code)) => return Err(Failure::new(code, doing, why)),
                None => {}
            }
            match &self.lines {
                None if self.trouble.is_some() => {
                    let (_, beat) = ask::socket_of(self.place, self.name);
                    let why = ask::why_gone(self.name, beat.as_ref());
                    return Err(ask::gone(why));
                }
                None => {}
                Some(_) if now >= deadline => {
                    return Err(Failure::new(exit::LATER, doing, "no answer in time")
                        .hint("see whether it is stopped: mosaic-fleet ps"));
                }
                Some(lines) => {
                    use std::os::fd::AsFd;
                    stage::wait(&[lines.as_fd()], None, deadline - now);
                }
            }
        }
    }
}

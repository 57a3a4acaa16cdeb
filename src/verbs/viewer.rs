//! `watch` and the headless `attach`: an agent's screen in this terminal, drawn again from its cells.
//!
//! Nothing the runtime prints reaches this terminal as it is, and while watching nothing but `screen` is ever asked:
//! there is no way for a key to get to the agent. One question is open at a time, and the next one is asked when this
//! terminal has taken the picture: a slow viewer asks seldom, and nothing piles up anywhere.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::libc;

use self::hand::Hand;
use self::link::{Heard, Link};
use super::place::Place;
use crate::failure::{Doing, Failure, exit};
use crate::os::signals::Signals;
use crate::os::stage::{self, Stage};
use crate::os::tty;
use crate::pure::banner::{self, Role};
use crate::pure::mirror::Mirror;
use crate::pure::viewport::{self, Key, Viewport};
use crate::pure::wire::Request;
use crate::units::AgentName;

mod hand;
mod link;

/// How long a question for something new may stay open. A state that changes without a picture between two
/// questions is seen this late.
const WAIT_MS: u64 = 2_000;

/// The banner's clock.
const TICK: Duration = Duration::from_secs(1);

/// Shows an agent's screen until somebody leaves.
///
/// # Errors
/// There is no terminal here, or no such agent (3).
pub fn watch(name: &AgentName) -> Result<u8, Failure> {
    needs_terminal("watching", name)?;
    let place = Place::here()?;
    let mut link = Link::new(&place, name, Instant::now());
    let first = link.begin(&screen_request(0, 0))?;
    Viewer::new(link, None, &first)?.run()
}

/// Shows an agent's screen and types into it what is typed here, until somebody leaves.
///
/// # Errors
/// There is no terminal here, no such agent (3), somebody else is attached (75), or we may not (77).
pub(super) fn attach(place: &Place, name: &AgentName, steal: bool) -> Result<u8, Failure> {
    needs_terminal("attaching to", name)?;
    let now = Instant::now();
    let hand = Hand::take(Link::new(place, name, now), steal)?;
    let mut link = Link::new(place, name, now);
    let first = link.begin(&screen_request(0, 0))?;
    Viewer::new(link, Some(hand), &first)?.run()
}

/// The hint of a refusal to attach.
pub(super) const STEAL: &str = "`mosaic-fleet watch` looks on; `attach --steal` sends them away";

/// Takes the agent over without showing it; theirs who hold the connection.
///
/// # Errors
/// As [`attach`].
pub(super) fn lease(
    place: &Place,
    name: &AgentName,
    steal: bool,
) -> Result<Option<crate::os::lines::Lines>, Failure> {
    Hand::take(Link::new(place, name, Instant::now()), steal).map(Hand::into_lines)
}

fn needs_terminal(doing: &str, name: &AgentName) -> Result<(), Failure> {
    if tty::is_here() {
        return Ok(());
    }
    let why = "there is no terminal on standard input and output";
    Err(
        Failure::new(exit::USAGE, format!("{doing} {name}"), why).hint(format!(
            "for scripts: mosaic-agent tail {name}, or mosaic-fleet screen {name} --json"
        )),
    )
}

fn screen_request(after: u64, wait_ms: u64) -> Request {
    Request {
        op: "screen".into(),
        cells: Some(true),
        after: Some(after),
        wait_ms: Some(wait_ms),
        ..Request::default()
    }
}

/// How it ends.
enum End {
    /// Somebody has left.
    Left,
    /// A signal came, or the terminal's end, which is one.
    Signal(i32),
    /// Somebody else has taken over.
    Taken(u64),
}

struct Viewer<'a> {
    stage: Stage,
    signals: Signals,
    link: Link<'a>,
    /// A question is open.
    asked: bool,
    /// While attached: what takes the keys to the agent.
    hand: Option<Hand<'a>>,
    mirror: Mirror,
    viewport: Viewport,
    /// The picture on the terminal is not the one we have.
    stale: bool,
    drawn_at: Instant,
}

impl<'a> Viewer<'a> {
    fn new(link: Link<'a>, hand: Option<Hand<'a>>, first: &[u8]) -> Result<Viewer<'a>, Failure> {
        let now = Instant::now();
        let mut mirror = Mirror::default();
        mirror
            .take(first, now)
            .doing(|| "reading the answer".into())?;
        // Before the terminal is touched: from then on an end by a signal has to go through us.
        let signals = Signals::listen().doing(|| "listening to signals".into())?;
        let stage = Stage::enter().doing(|| "taking the terminal over".into())?;
        let Some(stage) = stage else {
            return Err(Failure::new(exit::USAGE, "", "there is no terminal"));
        };
        let colours = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Ok(Viewer {
            viewport: Viewport::new(stage.size(), colours),
            stage,
            signals,
            link,
            asked: false,
            hand,
            mirror,
            stale: true,
            drawn_at: now,
        })
    }

    fn run(mut self) -> Result<u8, Failure> {
        let end = loop {
            if let Some(end) = self.step(Instant::now()) {
                break end;
            }
            self.sleep();
        };
        let name = self.mirror.agent.clone();
        // The terminal first: what is said from here on is said on the screen of before.
        drop(self);
        match end {
            End::Left => Ok(exit::OK),
            End::Signal(signal) => Ok(u8::try_from(128 + signal).unwrap_or(exit::INTERNAL)),
            End::Taken(pid) => Err(Failure::new(
                exit::LATER,
                format!("typing into {name}"),
                format!("pid {pid} has taken over"),
            )),
        }
    }

    fn step(&mut self, now: Instant) -> Option<End> {
        for signal in self.signals.take() {
            match signal {
                libc::SIGWINCH => {
                    self.viewport.resize(self.stage.size());
                    self.stale = true;
                }
                libc::SIGCHLD => {}
                signal => return Some(End::Signal(signal)),
            }
        }
        if let Some(end) = self.take_keys(now) {
            return Some(end);
        }
        self.stage.flush();
        while let Some(heard) = self.link.step(now) {
            self.hear(heard, now);
        }
        if let Some(hand) = &mut self.hand {
            hand.step(now);
            if let Some(pid) = self.mirror.attached_pid.filter(|pid| *pid != hand.me()) {
                return Some(End::Taken(pid));
            }
            let modes = hand.modes(&self.mirror);
            self.stage.write(modes.as_bytes());
        }
        if !self.link.is_up() {
            self.asked = false;
        }
        if self.stage.is_drawn() {
            if self.stale || now >= self.drawn_at + TICK {
                self.draw(now);
            }
            if self.link.is_up() && !self.asked {
                let after = self.mirror.revision;
                self.link.ask(&screen_request(after, WAIT_MS), now);
                self.asked = true;
            }
        }
        None
    }

    fn hear(&mut self, heard: Heard, now: Instant) {
        self.asked = false;
        self.stale = true;
        match heard {
            // Whoever is there now, it may be another sidecar: everything anew.
            Heard::Greeting => self.mirror.revision = 0,
            Heard::Answer(line) => {
                if let Err(why) = self.mirror.take(&line, now) {
                    self.link.lose(&std::io::Error::other(why), now);
                }
            }
            Heard::Refusal(why, _) => self.link.lose(&std::io::Error::other(why), now),
        }
    }

    fn take_keys(&mut self, now: Instant) -> Option<End> {
        if self.hand.as_ref().is_some_and(|hand| !hand.has_room()) {
            return None;
        }
        let bytes = match self.stage.typed() {
            Ok(None) => return None,
            Ok(Some(bytes)) => bytes,
            Err(_) => return Some(End::Signal(libc::SIGHUP)),
        };
        if let Some(hand) = &mut self.hand {
            return hand.type_keys(&bytes, now).then_some(End::Left);
        }
        for key in viewport::keys(&bytes) {
            if key == Key::Leave {
                return Some(End::Left);
            }
            self.viewport.press(key, &self.mirror);
            self.stale = true;
        }
        None
    }

    fn draw(&mut self, now: Instant) {
        let role = match &self.hand {
            None => Role::Watch,
            Some(_) => Role::Attach,
        };
        let lost = self.hand.as_ref().and_then(Hand::trouble);
        let trouble = self.link.trouble.as_deref().or(lost);
        let part = self.viewport.part(&self.mirror);
        let text = banner::text(&self.mirror, role, trouble, part.as_deref(), now);
        let frame = self.viewport.frame(&self.mirror, &text);
        self.stage.write(&frame);
        (self.stale, self.drawn_at) = (false, now);
    }

    fn sleep(&self) {
        let mut read: Vec<BorrowedFd<'_>> = vec![self.signals.readable()];
        let mut until = (self.drawn_at + TICK).min(self.link.due());
        if self.hand.as_ref().is_none_or(Hand::has_room) {
            read.push(self.stage.as_fd());
        }
        if let Some(lines) = &self.link.lines {
            read.push(lines.as_fd());
        }
        if let Some(hand) = &self.hand {
            until = until.min(hand.due());
            read.extend(hand.fd());
        }
        let write = (!self.stage.is_drawn()).then(|| self.stage.as_fd());
        let left = until.saturating_duration_since(Instant::now());
        // A terminal that takes nothing leaves the clock behind: that must not keep us awake.
        let left = if write.is_some() { TICK } else { left };
        stage::wait(&read, write, left);
    }
}

//! What a person types while attached: on a connection of its own, as long as which the agent is theirs.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::STEAL;
use super::link::{Heard, Link};
use crate::failure::{Failure, exit};
use crate::os::lines::Lines;
use crate::pure::mirror::Mirror;
use crate::pure::wire::Request;

/// Ctrl-]: leaves, as in telnet. No runtime of ours uses it.
const LEAVE: u8 = 0x1d;

/// The connection whose keys the runtime gets.
pub(super) struct Hand<'a> {
    link: Link<'a>,
    /// The sidecar has given us the agent on this connection.
    ours: bool,
    /// Our pid, as the sidecar sees it.
    me: u64,
    /// The first bytes of a character whose rest is still to come.
    part: Vec<u8>,
    /// What this terminal was last told about cursor keys and pastes.
    modes: (bool, bool),
}

fn attach_request(steal: bool) -> Request {
    Request {
        op: "attach".into(),
        steal: Some(steal),
        ..Request::default()
    }
}

impl<'a> Hand<'a> {
    /// Takes the agent over.
    ///
    /// # Errors
    /// No such agent (3), somebody else has it (75), or we may not (77).
    pub(super) fn take(mut link: Link<'a>, steal: bool) -> Result<Hand<'a>, Failure> {
        let answer = link
            .begin(&attach_request(steal))
            .map_err(|failure| match failure.exit {
                exit::LATER if failure.hint.is_empty() => failure.hint(STEAL),
                _ => failure,
            })?;
        Ok(Hand {
            link,
            ours: true,
            me: attached_pid(&answer),
            part: Vec::new(),
            modes: (false, false),
        })
    }

    /// Our pid, as the sidecar sees it.
    pub(super) fn me(&self) -> u64 {
        self.me
    }

    pub(super) fn into_lines(self) -> Option<Lines> {
        self.link.lines
    }

    pub(super) fn due(&self) -> Instant {
        self.link.due()
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.link.lines.as_ref().map(AsFd::as_fd)
    }

    /// Whether everything typed so far is on its way.
    pub(super) fn has_room(&self) -> bool {
        self.link.lines.as_ref().is_none_or(Lines::is_sent)
    }

    /// What is wrong, as long as something is.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.link.trouble.as_deref()
    }

    /// Goes on; takes the agent again if the sidecar was restarted.
    pub(super) fn step(&mut self, now: Instant) {
        while let Some(heard) = self.link.step(now) {
            match heard {
                Heard::Greeting => self.link.ask(&attach_request(false), now),
                Heard::Answer(line) => {
                    if !std::mem::replace(&mut self.ours, true) {
                        self.me = attached_pid(&line);
                    }
                }
                Heard::Refusal(why, _) => self.link.trouble = Some(why),
            }
        }
        self.ours &= self.link.is_up();
    }

    /// Sends what was typed; true if somebody leaves. What cannot be sent goes nowhere, and the banner says so.
    pub(super) fn type_keys(&mut self, bytes: &[u8], now: Instant) -> bool {
        let end = bytes.iter().position(|b| *b == LEAVE);
        self.part
            .extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        let text = whole_characters(&mut self.part);
        if !text.is_empty() && self.ours {
            let request = Request {
                op: "input".into(),
                text: Some(text),
                ..Request::default()
            };
            self.link.ask(&request, now);
        }
        end.is_some()
    }

    /// What brings this terminal's keys and pastes into the form the runtime has asked for.
    pub(super) fn modes(&mut self, mirror: &Mirror) -> String {
        let wanted = (mirror.application_cursor, mirror.bracketed_paste);
        let mut out = String::new();
        for (is, wanted, mode) in [
            (self.modes.0, wanted.0, "1"),
            (self.modes.1, wanted.1, "2004"),
        ] {
            if is != wanted {
                out.push_str(&format!("\x1b[?{mode}{}", if wanted { 'h' } else { 'l' }));
            }
        }
        self.modes = wanted;
        out
    }
}

fn attached_pid(status: &[u8]) -> u64 {
    let status: serde_json::Value = serde_json::from_slice(status).unwrap_or_default();
    status["attached_pid"].as_u64().unwrap_or_default()
}

/// Takes all whole characters; what is no character in UTF-8 is dropped, what may become one stays.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let rest = loop {
        match std::str::from_utf8(bytes) {
            Ok(whole) => {
                text.push_str(whole);
                break Vec::new();
            }
            Err(e) => {
                let (whole, rest) = bytes.split_at(e.valid_up_to());
                text.push_str(&String::from_utf8_lossy(whole));
                match e.error_len() {
                    None => break rest.to_vec(),
                    Some(bad) => *bytes = rest[bad..].to_vec(),
                }
            }
        }
    };
    *bytes = rest;
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_that_comes_in_two_parts_is_sent_as_one() {
        let mut part = b"a\xe6\xbc".to_vec();
        assert_eq!(whole_characters(&mut part), "a");
        part.extend_from_slice(b"\xa2\xffb\x1b[A");
        assert_eq!(whole_characters(&mut part), "漢b\x1b[A");
        assert!(part.is_empty());
    }
}

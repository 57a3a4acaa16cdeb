//! What must survive a sidecar: messages that wait for their turn, and which ids have been typed.
//!
//! The journal is a file of JSON lines that only grows while a sidecar lives. The last line of an id is what
//! is known of it: `held` is typed later, `typing` without an end was cut off and is `unknown` for ever,
//! `settled` has its receipt. [`recover`] reads it at the next start; what it returns is written anew.

use std::collections::VecDeque;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::ledger::RECEIPTS_MAX;
use super::receipt::{Receipt, Verdict, unix_ms};

/// What a line says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// It waits for its turn.
    Held,
    /// From now on some of it may have been typed.
    Typing,
    /// Its receipt is there.
    Settled,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it says.
    pub fact: Fact,
    /// The message's id.
    pub id: String,
    /// When it was asked for, in Unix milliseconds.
    pub at_ms: u64,
    /// `held`: the text to be typed. Otherwise its beginning, by which `verify --contains` finds it.
    pub text: String,
    /// `held`: how it is to be typed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub held: Option<HowHeld>,
    /// `settled`: what became of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<Receipt>,
}

/// What else belongs to a message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HowHeld {
    /// The byte at which the message's own words begin, behind the preamble.
    pub words_at: usize,
    /// Until when it may wait, in Unix milliseconds.
    pub until_ms: u64,
    /// It may be typed into a running turn.
    pub into_turn: bool,
}

impl Line {
    /// The end of a message.
    pub fn settled(receipt: &Receipt) -> Line {
        Line {
            fact: Fact::Settled,
            id: receipt.id.clone(),
            at_ms: receipt.at_ms,
            text: receipt.head.clone(),
            held: None,
            receipt: Some(receipt.clone()),
        }
    }

    /// The line with its line feed.
    pub fn render(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// What a journal tells the next sidecar.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Messages that have met their fate, oldest first.
    pub receipts: Vec<Receipt>,
    /// Messages that still wait, oldest first.
    pub held: Vec<Line>,
    /// Lines that could not be read. One at the end is what a crash leaves; more are damage.
    pub unreadable: usize,
}

/// Reads a journal at a moment on the wall clock.
pub fn recover(journal: &[u8], now: SystemTime) -> Recovered {
    let mut recovered = Recovered::default();
    let mut last: VecDeque<Line> = VecDeque::new();
    for line in journal.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let Ok(line) = serde_json::from_slice::<Line>(line) else {
            recovered.unreadable += 1;
            continue;
        };
        last.retain(|known| known.id != line.id);
        last.push_back(line);
        let settled = last.iter().filter(|l| l.fact == Fact::Settled).count();
        if settled > RECEIPTS_MAX
            && let Some(oldest) = last.iter().position(|l| l.fact == Fact::Settled)
        {
            last.remove(oldest);
        }
    }
    let now_ms = unix_ms(now);
    for line in last {
        let ended = |verdict, why: &str| {
            let mut receipt = Receipt::bare(&line.id, verdict, why, now);
            receipt.at_ms = line.at_ms;
            receipt.head.clone_from(&line.text);
            receipt.bytes = line.text.len();
            receipt
        };
        match (line.fact, &line.held, &line.receipt) {
            (Fact::Settled, _, Some(receipt)) => recovered.receipts.push(Receipt {
                head: line.text.clone(),
                ..receipt.clone()
            }),
            (Fact::Held, Some(how), _) if how.until_ms > now_ms => recovered.held.push(line),
            (Fact::Held, ..) => {
                let why = "its time ran out while no sidecar was there to type it";
                recovered.receipts.push(ended(Verdict::Busy, why));
            }
            _ => {
                let why = "the sidecar ended while it was being typed; it is not typed again";
                recovered.receipts.push(ended(Verdict::Unknown, why));
            }
        }
    }
    recovered
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS)
    }

    fn held(id: &str, until_ms: u64) -> Line {
        Line {
            fact: Fact::Held,
            id: id.into(),
            at_ms: NOW_MS - 5_000,
            text: format!("[a:b -> c:d] {id}"),
            held: Some(HowHeld {
                words_at: 13,
                until_ms,
                into_turn: false,
            }),
            receipt: None,
        }
    }

    fn typing(id: &str) -> Line {
        Line {
            fact: Fact::Typing,
            held: None,
            ..held(id, 0)
        }
    }

    fn journal(lines: &[Line]) -> Vec<u8> {
        lines.iter().flat_map(Line::render).collect()
    }

    #[test]
    fn a_message_that_waited_waits_again_in_the_same_order() {
        let lines = [held("one", NOW_MS + 1), held("two", NOW_MS + 1)];
        let recovered = recover(&journal(&lines), now());
        assert_eq!(recovered.held, lines);
        assert_eq!(recovered.receipts, []);
    }

    #[test]
    fn a_message_that_was_being_typed_is_unknown_and_not_typed_again() {
        let lines = [held("one", NOW_MS + 1), typing("one")];
        let recovered = recover(&journal(&lines), now());
        assert_eq!(recovered.held, []);
        let receipt = &recovered.receipts[0];
        assert_eq!(
            (receipt.id.as_str(), receipt.verdict),
            ("one", Verdict::Unknown)
        );
        assert!(receipt.typed);
        assert_eq!(receipt.head, "[a:b -> c:d] one");
    }

    #[test]
    fn a_message_whose_time_ran_out_meanwhile_is_busy() {
        let recovered = recover(&journal(&[held("one", NOW_MS)]), now());
        assert_eq!(recovered.held, []);
        assert_eq!(recovered.receipts[0].verdict, Verdict::Busy);
    }

    #[test]
    fn a_receipt_comes_back_as_it_was_with_the_text_it_is_found_by() {
        let mut receipt = Receipt::bare("one", Verdict::Accepted, "taken", now());
        receipt.head = "run the tests".into();
        let lines = [typing("one"), Line::settled(&receipt)];
        let recovered = recover(&journal(&lines), now());
        assert_eq!(recovered.receipts, [receipt]);
    }

    #[test]
    fn a_line_that_was_cut_off_or_is_no_line_costs_itself_only() {
        let mut bytes = journal(&[held("one", NOW_MS + 1)]);
        bytes.extend_from_slice(b"\xff\xfe\n[]\n{\"fact\":\"eaten\"}\n");
        bytes.extend(journal(&[typing("two")]));
        bytes.extend_from_slice(&held("three", NOW_MS + 1).render()[..40]);
        let recovered = recover(&bytes, now());
        assert_eq!(recovered.held.len(), 1);
        assert_eq!(recovered.receipts.len(), 1);
        assert_eq!(recovered.unreadable, 4);
    }

    #[test]
    fn only_the_last_receipts_are_kept_and_every_message_that_waits() {
        let mut lines = vec![held("first", NOW_MS + 1)];
        for n in 0..RECEIPTS_MAX + 10 {
            let receipt = Receipt::bare(&n.to_string(), Verdict::Accepted, "taken", now());
            lines.push(Line::settled(&receipt));
        }
        let recovered = recover(&journal(&lines), now());
        assert_eq!(recovered.receipts.len(), RECEIPTS_MAX);
        assert_eq!(recovered.receipts[0].id, "10");
        assert_eq!(recovered.held.len(), 1);
    }
}

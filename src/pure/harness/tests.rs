//! What somebody else types, from its first key to its last word.

use super::*;
use crate::pure::delivery::Life;

/// A harness in front of claude's composer, with a clock of its own.
struct Desk {
    harness: Harness,
    begin: Now,
}

impl Desk {
    fn new() -> Desk {
        let begin = Now {
            mono: Instant::now(),
            wall: SystemTime::now(),
        };
        let size = TermSize { cols: 40, rows: 10 };
        let (profiles, beat) = (Profiles::with(&[]), Duration::from_secs(15));
        let mut harness = Harness::new(profiles, size, beat, "t".into(), begin);
        let claude = Running {
            name: "claude".into(),
            pid: 7,
            version: String::new(),
        };
        harness.take_running(claude, begin);
        let mut desk = Desk { harness, begin };
        desk.composer("", 0);
        desk
    }

    fn at(&self, ms: u64) -> Now {
        let more = Duration::from_millis(ms);
        Now {
            mono: self.begin.mono + more,
            wall: self.begin.wall + more,
        }
    }

    /// What the harness wants done for an input.
    fn takes(&mut self, input: Input<'_>, ms: u64) -> Vec<Effect> {
        self.harness.handle(input, self.at(ms));
        std::iter::from_fn(|| self.harness.poll()).collect()
    }

    fn composer(&mut self, text: &str, ms: u64) -> Vec<Effect> {
        let rule = "\u{2500}".repeat(30);
        let drawn = format!(
            "\x1b[H{rule}\r\n\u{276f} {text}\x1b[K\r\n{rule}\x1b[2;{}H",
            text.len() + 3
        );
        self.takes(Input::Output(drawn.as_bytes()), ms)
    }

    fn pulse(&mut self, ms: u64) -> Vec<Effect> {
        let pulse = Pulse {
            at: self.at(ms).mono,
            pid: 7,
            raw: true,
            unread: 0,
            life: Life::Running,
            front: None,
        };
        self.takes(Input::Pulse(pulse), ms)
    }

    /// Somebody types a text and presses Enter, and nothing comes of it for longer than we watch the screen.
    fn typed_in_vain(&mut self, text: &str) {
        self.takes(Input::RecordsOpen(true), 0);
        self.takes(Input::Outer(text.as_bytes()), 10);
        self.composer(text, 20);
        self.takes(Input::Outer(b"\r"), 30);
        for second in 1..40 {
            self.pulse(second * 1_000);
            self.takes(Input::Tick, second * 1_000 + 500);
        }
        assert_eq!(self.verdict(text), Verdict::Draft);
    }

    fn verdict(&self, text: &str) -> Verdict {
        let receipt = self.harness.ledger().find(None, Some(text), 0);
        receipt.expect("a receipt").verdict
    }

    fn recorded(&mut self, text: &str, ms: u64) {
        let recorded = Recorded {
            by: "its own record".into(),
            text: text.into(),
            says: Says::Taken,
        };
        self.takes(Input::Recorded(&recorded), ms);
    }
}

fn readings(effects: &[Effect]) -> Vec<Reading> {
    let readings = effects.iter().filter_map(|effect| match effect {
        Effect::Records(reading) => Some(*reading),
        _ => None,
    });
    readings.collect()
}

#[test]
fn the_records_are_marked_from_the_first_key_and_read_from_enter_on() {
    let mut desk = Desk::new();
    let keys: [&[u8]; 3] = [b"c", b"ontinue", b"\r"];
    let wanted = keys.map(|keys| readings(&desk.takes(Input::Outer(keys), 10)));
    assert_eq!(wanted, [vec![Reading::Mark], vec![], vec![Reading::On]]);
}

#[test]
fn what_a_slow_runtime_takes_after_all_is_no_draft_any_more() {
    let mut desk = Desk::new();
    desk.typed_in_vain("run the tests");
    desk.recorded("run the tests", 41_000);
    assert_eq!(desk.verdict("run the tests"), Verdict::Accepted);
}

#[test]
fn what_is_written_down_behind_another_enter_is_not_the_draft_before_it() {
    let mut desk = Desk::new();
    desk.typed_in_vain("run the tests");
    desk.takes(Input::Outer(b"something else\r"), 40_500);
    desk.recorded("run the tests", 41_000);
    assert_eq!(desk.verdict("run the tests"), Verdict::Draft);
}

//! A person and a message in the same composer: drafts that were there before, keys that come during a send.
//! The test is the person, and the demo's own log is the truth about what was taken.

mod support;

use std::time::Instant;

use mosaic_agent::pure::delivery::{Life, Pulse, Written};
use mosaic_agent::pure::harness::{Asker, Effect, Harness, Input, Now};
use mosaic_agent::pure::profile::{ProcessFacts, Profiles};
use mosaic_agent::pure::wire::{Request, State};
use mosaic_agent::units::TermSize;
use support::{Demo, LATER, Receipt, SOON, get, io_count, ms, until};

// ---------------------------------------------------------------- a draft that was there before

/// Nothing of ours was typed: what a person submits now is exactly what they typed.
#[track_caller]
fn assert_untouched(demo: &Demo, draft: &str) {
    let before = demo.log.taken().len();
    demo.submit("");
    let expected = [draft.to_owned()];
    get(SOON, "the person's own text is taken", || {
        (demo.log.taken().get(before..) == Some(&expected[..])).then_some(())
    });
}

#[test]
fn a_draft_in_the_composer_is_left_alone() {
    let demo = Demo::ready(&[]);
    demo.pane.write(b"half a thought");
    demo.pane.wait_screen("half a thought", SOON);
    demo.send("a message", &[]).must_be("occupied");
    assert_eq!(demo.composer(), "half a thought");
    assert_untouched(&demo, "half a thought");
}

#[test]
fn a_sender_may_wait_until_the_draft_is_gone() {
    let demo = Demo::ready(&["--turn-ms", "200"]);
    demo.pane.write(b"half a thought");
    demo.pane.wait_screen("half a thought", SOON);
    let mut sending = demo.sending("a message", &["--when", "draft=wait"]);
    until(SOON, "the message waits", || {
        demo.sandbox.status(Demo::NAME)["held"] == 1
    });
    assert!(sending.is_running());
    demo.submit("");
    Receipt::of(sending.wait(LATER)).must_be("accepted");
    assert_eq!(demo.log.taken(), ["half a thought", "a message"]);
}
// ---------------------------------------------------------------- a person at the same time

/// A person starts to type at some moment of a send, again and again. Whatever the verdict: the message is taken
/// whole and alone or not at all, the person's text is not submitted, and none of their keys is lost.
///
/// `shown` is what the composer shows of the message; `wait` waits for the round's moment.
#[track_caller]
fn type_during_sends(rounds: u64, message: &str, shown: &str, wait: impl Fn(&Demo, u64)) {
    // Long enough to be seen behind a transcript of 240 kB.
    let demo = Demo::ready(&["--turn-ms", "400"]);
    let by_hand = "zzz by hand";
    for round in 0..rounds {
        let before = demo.log.taken().len();
        let sending = demo.sending(message, &["--timeout", "5"]);
        wait(&demo, round);
        for key in by_hand.bytes() {
            demo.pane.write(&[key]);
            std::thread::sleep(ms(2));
        }
        let receipt = Receipt::of(sending.wait(LATER));
        let verdict = receipt.verdict();
        let taken = demo.log.taken().split_off(before);
        let expected: &[&str] = if verdict == "accepted" {
            &[message]
        } else {
            &[]
        };
        // No assert_eq: the message may be long.
        assert!(taken == expected, "round {round}: {receipt:?}");
        let left = get(SOON, "all keys in the composer", || {
            let text = demo.composer();
            (text.matches('z').count() == 3 && text.ends_with("hand")).then_some(text)
        });
        let theirs = left.replacen(shown, "", 1);
        assert_eq!(theirs, by_hand, "round {round}: {receipt:?}");
        assert!(
            left == by_hand || verdict == "draft",
            "round {round}: {receipt:?}"
        );
        demo.pane.write(b"\x03");
        until(SOON, "an empty composer", || demo.composer().is_empty());
        demo.wait_ready();
    }
}

#[test]
fn a_person_typing_during_a_send_is_never_fused_submitted_or_lost() {
    // The moments between the start of a send and its end. Not to synchronise.
    type_during_sends(16, "a short message", "a short message", |_, round| {
        std::thread::sleep(ms(round * 3));
    });
}

#[test]
fn a_person_typing_during_a_long_paste_is_never_fused_submitted_or_lost() {
    let message = "0123456789abcde\n".repeat(15 * 1024);
    // As soon as the runtime has read some of the paste, every time some more. A busy loop: 5 ms later
    // the paste is over.
    type_during_sends(
        4,
        message.trim_end(),
        "[pasted 15360 lines]",
        |demo, round| {
            let runtime = demo.runtime();
            let enough = io_count(runtime, "rchar") + 4_096 * (1 + 14 * round);
            let deadline = Instant::now() + SOON;
            while io_count(runtime, "rchar") < enough {
                assert!(Instant::now() < deadline, "no paste in round {round}");
            }
        },
    );
}

/// The runtime takes a while to show a key. Had Enter followed the paste in that while, it would have
/// submitted the key with the message. Moment by moment, because the moment is short.
#[test]
fn a_key_that_the_runtime_has_not_shown_yet_keeps_enter_away() {
    let mut moment = Moment::ready();
    moment.send("a message");
    assert_eq!(moment.typed(), "\u{1b}[200~a message\u{1b}[201~");
    moment.handle(Input::Outer(b"x"));
    moment.draw("a message");
    assert_eq!(moment.typed(), "", "Enter would take the x along");
}

/// The same without the key, so that the test above can fail.
#[test]
fn a_paste_that_is_shown_alone_is_followed_by_enter() {
    let mut moment = Moment::ready();
    moment.send("a message");
    moment.typed();
    moment.draw("a message");
    assert_eq!(moment.typed(), "\r");
}

/// The deciding half of a sidecar, without a system below it: time stands still, and what would be
/// typed is kept.
struct Moment {
    harness: Harness,
    now: Now,
    typed: Vec<u8>,
}

impl Moment {
    /// The demo is there and shows an empty composer.
    fn ready() -> Moment {
        let now = Now {
            mono: Instant::now(),
            wall: std::time::SystemTime::now(),
        };
        let size = TermSize { cols: 60, rows: 12 };
        let profiles = Profiles::with(&[]);
        let mut moment = Moment {
            harness: Harness::new(profiles, size, SOON, "t".into(), now),
            now,
            typed: Vec::new(),
        };
        moment.handle(Input::Tick);
        moment.handle(Input::Output(b"\x1b[?2004h"));
        for _ in 0..20 {
            moment.draw("");
        }
        assert_eq!(moment.harness.state().0, State::Ready);
        moment
    }

    fn handle(&mut self, input: Input<'_>) {
        self.harness.handle(input, self.now);
        while let Some(effect) = self.harness.poll() {
            match effect {
                Effect::Pulse => self.harness.handle(
                    Input::Pulse(Pulse {
                        at: self.now.mono,
                        pid: 42,
                        raw: true,
                        unread: 0,
                        life: Life::Running,
                        front: None,
                    }),
                    self.now,
                ),
                Effect::Identify => {
                    let demo = ProcessFacts {
                        pid: 42,
                        parent: 41,
                        exe: "/bin/mosaic-fleet".into(),
                        argv: vec!["mosaic-fleet".into(), "demo-tui".into()],
                        script: String::new(),
                        version: String::new(),
                    };
                    self.harness.handle(Input::Processes(&[demo]), self.now);
                }
                Effect::Type { job, bytes, .. } => {
                    self.typed.extend(bytes);
                    let written = Input::Written(job, Written::At(self.now.mono));
                    self.harness.handle(written, self.now);
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, text: &str) {
        let request = Request {
            op: "send".into(),
            text: Some(text.into()),
            ..Request::default()
        };
        self.handle(Input::Send(Asker(1), Box::new(request), "h:demo"));
    }

    /// The demo draws its composer with this in it.
    fn draw(&mut self, composer: &str) {
        let rule = "─".repeat(60);
        let frame = format!(
            "\x1b[?2026h\x1b[2J\x1b[9;1H{rule}\x1b[10;1H❭ {composer}\x1b7\x1b[11;1H{rule}\x1b8\x1b[?2026l"
        );
        // A look at the screen is due only some time after the last one.
        self.now.mono += ms(100);
        self.handle(Input::Output(frame.as_bytes()));
        self.handle(Input::Tick);
    }

    /// What was typed since the last call.
    fn typed(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.typed)).expect("text")
    }
}

#[test]
fn a_person_who_has_just_begun_to_type_is_not_interrupted() {
    let demo = Demo::ready(&[]);
    demo.pane.write(b"w");
    let receipt = demo.send("a message", &[]);
    receipt.must_be("occupied");
    demo.pane.write(b"ait");
    assert_untouched(&demo, "wait");
}

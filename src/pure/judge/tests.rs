use super::*;
use crate::pure::profile::{Profile, Profiles};
use crate::units::TermSize;

/// A codex-like pane whose transcript, busy row and composer are set at will.
struct Pane {
    screen: Screen,
    profile: Profile,
    start: Instant,
}

impl Pane {
    fn new() -> Pane {
        let profiles = Profiles::with(&[]);
        let profile = match profiles.named("demo") {
            Some(p) => p.clone(),
            None => panic!("no demo profile"),
        };
        Pane {
            screen: Screen::new(TermSize { cols: 60, rows: 12 }),
            profile,
            start: Instant::now(),
        }
    }

    fn draws(&mut self, transcript: &str, status: &str, composer: &str) -> &mut Pane {
        let rule = "─".repeat(60);
        let frame = format!(
            "\x1b[2J\x1b[H{transcript}\x1b[8;1H{status}\x1b[9;1H{rule}\x1b[10;1H❭ {composer}\x1b7\x1b[11;1H{rule}\x1b8"
        );
        self.screen.feed(frame.as_bytes());
        self
    }

    fn view(&self) -> View {
        View::of(&self.screen, &self.profile)
    }

    fn judge(&self, text: &str) -> Judge {
        let placeholders = &self.profile.composer.placeholder;
        let wanted = Wanted::new(text, 0);
        Judge::before_enter(wanted, &self.screen, &self.view(), placeholders, self.start)
    }

    fn verdict(&self, judge: &mut Judge, after_ms: u64) -> Option<Verdict> {
        let rule = &self.profile.send;
        judge.look(
            &self.screen,
            &self.view(),
            &self.profile.composer.placeholder,
            rule,
            None,
            self.start + Duration::from_millis(after_ms),
        )
    }
}

const BUSY: &str = " ⠋ Thinking… (0s · esc to interrupt)";

#[test]
fn an_emptied_composer_alone_proves_nothing() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", "", "run the tests").judge("run the tests");
    pane.draws("", "", "");
    assert_eq!(pane.verdict(&mut judge, 10), None);
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
}

#[test]
fn text_above_without_a_turn_proves_nothing_either() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", "", "run the tests").judge("run the tests");
    pane.draws("unknown command: run the tests", "", "");
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
}

#[test]
fn cleared_and_repeated_and_busy_is_accepted_at_once() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", "", "run the tests").judge("run the tests");
    pane.draws("❭ run the tests", BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 7), Some(Verdict::Accepted));
}

#[test]
fn a_busy_sign_alone_counts_only_once_the_composer_stayed_empty() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", "", "run the tests").judge("run the tests");
    pane.draws("", BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 7), None);
    assert_eq!(pane.verdict(&mut judge, 7 + 150), Some(Verdict::Accepted));
}

#[test]
fn a_turn_that_ran_before_enter_is_no_evidence() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", BUSY, "run the tests").judge("run the tests");
    pane.draws("", BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 3_000), None);
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
}

#[test]
fn an_old_copy_of_the_same_message_is_no_evidence() {
    let mut pane = Pane::new();
    pane.draws("❭ run the tests", BUSY, "run the tests");
    let mut judge = pane.judge("run the tests");
    pane.draws("❭ run the tests", BUSY, "");
    // Two looks: what only settles after a while must not count either.
    assert_eq!(pane.verdict(&mut judge, 3_000), None);
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
    pane.draws("❭ run the tests\r\n❭ run the tests", BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 4_150), Some(Verdict::Accepted));
}

#[test]
fn a_message_that_was_never_seen_is_not_accepted_by_a_turn_that_goes_on() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", "", "").judge("run the tests");
    pane.draws("", BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 10), None);
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
}

#[test]
fn a_row_in_the_runtimes_queue_is_queued() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", BUSY, "run the tests").judge("run the tests");
    pane.draws("\r\n\r\n\r\n\r\n\r\n queued: run the tests", BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 20), Some(Verdict::Queued));
}

#[test]
fn the_message_still_in_the_composer_is_never_accepted() {
    let mut pane = Pane::new();
    let mut judge = pane.draws("", "", "run the tests").judge("run the tests");
    pane.draws("❭ run the tests", BUSY, "run the tests");
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
    pane.draws("❭ run the tests", BUSY, "x run the tests");
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
}

#[test]
fn a_message_that_the_runtime_says_it_refused_is_not_accepted_by_all_the_signs_of_a_turn() {
    let mut pane = Pane::new();
    let profiles = Profiles::with(&[]);
    pane.profile.refusal = profiles
        .named("claude")
        .expect("it is there")
        .refusal
        .clone();
    let mut judge = pane.draws("", "", "run the tests").judge("run the tests");
    let refused = "❭ run the tests\r\n● UserPromptSubmit operation blocked by hook";
    pane.draws(refused, BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 10), None);
    assert_eq!(pane.verdict(&mut judge, 4_000), None);
    // One that was refused before is not this one.
    let mut judge = pane.draws(refused, "", "again").judge("again");
    pane.draws(&format!("{refused}\r\n❭ again"), BUSY, "");
    assert_eq!(pane.verdict(&mut judge, 10), Some(Verdict::Accepted));
}

#[test]
fn a_record_that_ends_with_a_typed_line_is_of_it_if_the_end_is_long_enough() {
    let entry = |text: &str| Recorded {
        by: "its record".into(),
        text: text.into(),
        says: Says::Taken,
    };
    let line = "please run all of the tests once more";
    let mut pane = Pane::new();
    pane.draws("", "", line);
    let now = pane.start;
    // What the keys have told of the line may lack its beginning; what a message is compared with does not.
    let longer = entry(&format!("before that, {line}"));
    let typed = "x run all of the tests once more";
    assert!(pane.judge(typed).recorded_of_keys(&longer, now));
    assert!(!pane.judge(typed).recorded(&longer, now));
    for (typed, recorded) in [
        ("tests", "run the tests"),
        (line, "something else"),
        (line, ""),
    ] {
        assert!(
            !pane.judge(typed).recorded_of_keys(&entry(recorded), now),
            "{recorded}"
        );
    }
}

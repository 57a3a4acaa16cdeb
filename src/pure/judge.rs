//! Decides whether a submitted message was taken.
//!
//! An emptied composer alone proves nothing: swallowed commands, shell escapes and exits empty it too.
//! A second sign is needed that was not there before Enter: the runtime's own word, a busy sign, the
//! text above the composer, a row in the runtime's queue. Knows nothing of ptys, sockets or clocks.

use std::time::{Duration, Instant};

use super::profile::SendRule;
use super::receipt::{Evidence, Verdict, Witness};
use super::recorded::{Recorded, Says};
use super::screen::Screen;
use super::text::Squeezed;
use super::view::{self, Composer, View};

/// How many letters of a message's head or tail identify it. Long enough to be nobody else's, short
/// enough to stand on one row of a narrow pane, where runtimes cut what they repeat.
const PROBE: usize = 24;

/// A message in the forms a screen may show it.
#[derive(Clone, Debug)]
pub struct Wanted {
    whole: Squeezed,
    /// The beginning of the message's own words: what stands in front of every message says nothing.
    head: Squeezed,
    tail: Squeezed,
    /// How many letters stand in front of its own words.
    preamble: usize,
}

/// How the composer holds a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Nothing.
    Nothing,
    /// The message, whole and alone (or the runtime's placeholder for it).
    Ours,
    /// The beginning of the message and nothing else.
    OurHead,
    /// Something else, or the message among something else.
    Other,
}

impl Wanted {
    /// The forms of a typed text, whose own words begin at this byte.
    pub fn new(text: &str, words_at: usize) -> Wanted {
        let (preamble, words) = text.split_at_checked(words_at).unwrap_or(("", text));
        let whole = Squeezed::new(text);
        Wanted {
            head: Squeezed::new(words).head(PROBE),
            tail: whole.tail(PROBE),
            preamble: Squeezed::new(preamble).chars(),
            whole,
        }
    }

    /// All its letters: what a record or a composer is compared with.
    pub fn letters(&self) -> &str {
        self.whole.as_str()
    }

    /// What a composer holds of this message.
    ///
    /// A composer that scrolls shows only the end of a long message; since it was empty before the
    /// paste, an end of some length (four probes) stands for the whole.
    pub fn in_composer(&self, composer: &Composer, placeholders: &[String]) -> Holds {
        if composer.is_empty() {
            return Holds::Nothing;
        }
        let text = composer.text.trim();
        let is_placeholder = placeholders.iter().any(|p| {
            text.starts_with(p.as_str()) && text.ends_with(']') && text.matches('[').count() == 1
        });
        let shown = Squeezed::new(text);
        let scrolled = shown.chars() >= 4 * PROBE && self.whole.ends_with(&shown);
        if is_placeholder || shown == self.whole || scrolled {
            Holds::Ours
        } else if !shown.is_empty() && self.whole.as_str().starts_with(shown.as_str()) {
            Holds::OurHead
        } else {
            Holds::Other
        }
    }

    /// Whether a composer holds the message, alone or among something else.
    pub fn shows_in(&self, composer: &Composer, placeholders: &[String]) -> bool {
        let shown = Squeezed::new(&composer.text);
        self.in_composer(composer, placeholders) == Holds::Ours
            || shown.count(&self.head) > 0
            || shown.count(&self.tail) > 0
    }

    /// Whether a text in the runtime's own record is this message.
    ///
    /// Runtimes put words of their own around a paste (claude a tag, opencode a blank), and a draft that was
    /// there before stands in front of it: a message long enough to be nobody else's may stand in more text.
    pub fn is(&self, recorded: &Recorded) -> bool {
        self.stands_in(&recorded.text)
    }

    /// Whether a text in the runtime's own record ends with this message. What somebody's keys tell of a line can
    /// begin with more than the line had: not every key that clears is followed.
    pub fn ends(&self, recorded: &Recorded) -> bool {
        let theirs = Squeezed::new(&recorded.text);
        self.tail.chars() >= PROBE && theirs.count(&self.tail) > 0
    }

    /// Whether it is all of a text, or stands whole in it and is long enough to be nobody else's.
    pub fn stands_in(&self, text: &str) -> bool {
        let text = Squeezed::new(text);
        text == self.whole || (self.whole.chars() >= PROBE && text.count(&self.whole) > 0)
    }

    /// How often head and tail stand above the composer.
    fn occurrences(&self, above: &Squeezed) -> (usize, usize) {
        (above.count(&self.head), above.count(&self.tail))
    }

    /// How many rows of the runtime's queue show this message, or as much of it as fits on a row.
    fn queued_in(&self, queue: &[String]) -> usize {
        queue
            .iter()
            .map(|row| Squeezed::new(row))
            .filter(|row| {
                row.chars() > self.preamble && self.whole.as_str().starts_with(row.as_str())
            })
            .count()
    }
}

/// What was already there before Enter, so that only news counts.
#[derive(Clone, Debug)]
struct Before {
    busy: bool,
    said_working: u64,
    occurrences: (usize, usize),
    queued: usize,
    refused: usize,
}

/// Watches the screen after Enter.
#[derive(Clone, Debug)]
pub struct Judge {
    wanted: Wanted,
    before: Before,
    /// The composer was seen to hold it before Enter, or since.
    echoed: bool,
    /// When the first Enter was written.
    entered: Instant,
    /// Since when the composer has been without the message.
    cleared: Option<Instant>,
    /// A busy sign appeared after Enter; a short turn is over before the composer counts as settled.
    turned_busy: bool,
    /// The runtime said so in the stream after Enter.
    said_working: bool,
    /// Since when everything on the screen speaks for it, where the runtime's own record is waited for.
    complete: Option<Instant>,
    /// What the runtime's own record says of it.
    recorded: Option<Says>,
    evidence: Vec<Evidence>,
}

impl Judge {
    /// Remembers what the screen shows just before Enter.
    ///
    /// Where nobody has waited for the echo (somebody else typed), `placeholders` help to see it.
    pub fn before_enter(
        wanted: Wanted,
        screen: &Screen,
        view: &View,
        placeholders: &[String],
        now: Instant,
    ) -> Judge {
        let above = view::above(screen, view.composer.as_ref());
        let echoed = view
            .composer
            .as_ref()
            .is_some_and(|c| wanted.shows_in(c, placeholders));
        Judge {
            echoed,
            before: Before {
                busy: view.busy.is_some(),
                said_working: screen.said_working(),
                occurrences: wanted.occurrences(&above),
                queued: wanted.queued_in(&view.queue),
                refused: view.refused,
            },
            wanted,
            entered: now,
            cleared: None,
            turned_busy: false,
            said_working: false,
            complete: None,
            recorded: None,
            evidence: Vec::new(),
        }
    }

    /// The runtime has written something down after the paste. True if it is this message.
    pub fn recorded(&mut self, recorded: &Recorded, now: Instant) -> bool {
        let ours = self.wanted.is(recorded);
        self.take_record(ours, recorded, now)
    }

    /// The same of a line that somebody else has typed.
    pub fn recorded_of_keys(&mut self, recorded: &Recorded, now: Instant) -> bool {
        let ours = self.wanted.is(recorded) || self.wanted.ends(recorded);
        self.take_record(ours, recorded, now)
    }

    fn take_record(&mut self, ours: bool, recorded: &Recorded, now: Instant) -> bool {
        if ours {
            let sign = format!("{} has the text", recorded.by);
            self.saw(Witness::Runtime, sign, now);
            // An entry that it was delivered outweighs the one that it was put into the queue before.
            if recorded.says == Says::Taken {
                self.recorded = Some(Says::Taken);
            } else {
                self.recorded.get_or_insert(recorded.says);
            }
        }
        ours
    }

    /// The first Enter was written at this moment.
    pub fn entered(&mut self, at: Instant) {
        self.entered = at;
    }

    /// The message it watches for.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether a turn ran, at any time since before Enter.
    pub fn saw_turn(&self) -> bool {
        self.before.busy || self.turned_busy || self.said_working
    }

    /// What was seen so far.
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }

    /// When another look could change the verdict though nothing new is drawn.
    pub fn next_look(&self, rule: &SendRule, now: Instant) -> Option<Instant> {
        let settled = self.cleared.map(|since| since + rule.settle());
        let waited = self.complete.map(|since| since + rule.record());
        [settled, waited]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    fn saw(&mut self, by: Witness, sign: impl Into<String>, now: Instant) {
        let sign = sign.into();
        if !self.evidence.iter().any(|e| e.sign == sign) {
            let ms = now.saturating_duration_since(self.entered).as_millis();
            self.evidence.push(Evidence {
                by,
                sign,
                ms: u64::try_from(ms).unwrap_or(u64::MAX),
            });
        }
    }

    /// Looks at a settled screen (not inside a synchronized update). `None`: no proof yet.
    ///
    /// Where the runtime's own record is expected within some time, the screen alone is believed only after it.
    pub fn look(
        &mut self,
        screen: &Screen,
        view: &View,
        placeholders: &[String],
        rule: &SendRule,
        record_within: Option<Duration>,
        now: Instant,
    ) -> Option<Verdict> {
        let left = self.signs(screen, view, placeholders, rule, now)?;
        match self.recorded {
            Some(Says::Taken) => return Some(Verdict::Accepted),
            Some(Says::Queued) => return Some(Verdict::Queued),
            Some(Says::Submitted) | None => {}
        }
        if view.refused > self.before.refused {
            self.saw(Witness::Screen, "the runtime says that it was refused", now);
            return None;
        }
        let verdict = self.by_signs(&left, rule)?;
        let Some(within) = record_within.filter(|_| verdict == Verdict::Accepted) else {
            return Some(verdict);
        };
        // A hook of somebody's may refuse the prompt yet, and up to then all looks as if it were taken.
        let complete = *self.complete.get_or_insert(now);
        (now.saturating_duration_since(complete) >= within).then_some(verdict)
    }

    /// Everything on the screen speaks for it, and the runtime's own record, which was expected, does not.
    pub fn lacks_record(&self) -> bool {
        self.complete.is_some() && self.recorded != Some(Says::Taken)
    }

    /// What the screen shows of it, once the composer does not hold it any more.
    fn signs(
        &mut self,
        screen: &Screen,
        view: &View,
        placeholders: &[String],
        rule: &SendRule,
        now: Instant,
    ) -> Option<Left> {
        let above = view::above(screen, view.composer.as_ref());
        let says_working = screen.said_working() > self.before.said_working;
        // Each against its own past: an old copy that scrolls away must not hide the new one.
        let (heads, tails) = self.wanted.occurrences(&above);
        let (head, tail) = (
            heads > self.before.occurrences.0,
            tails > self.before.occurrences.1,
        );
        // An error that quotes the message cuts its end off.
        let repeated = tail || (head && rule.signs < 2);
        let queued = self.wanted.queued_in(&view.queue) > self.before.queued;
        let busy = view.busy.is_some() && !self.before.busy;
        self.turned_busy |= busy;
        self.said_working |= says_working;
        if says_working {
            self.saw(Witness::Runtime, "it said it is working (OSC 7501)", now);
        }
        if repeated {
            self.saw(Witness::Screen, "the text stands above the composer", now);
        }
        if queued {
            self.saw(Witness::Screen, "the runtime's queue shows it", now);
        }
        if let (true, Some(sign)) = (busy, &view.busy) {
            self.saw(Witness::Screen, format!("busy sign: {sign}"), now);
        }

        let holds = view
            .composer
            .as_ref()
            .map(|c| self.wanted.in_composer(c, placeholders));
        let left = match holds {
            // No composer in front: our own turn may have opened a dialog already.
            None => (says_working && repeated) || self.recorded.is_some(),
            Some(Holds::Nothing) => true,
            Some(Holds::Ours) => false,
            // Somebody types the next text already; ours must not be part of it.
            Some(Holds::OurHead | Holds::Other) => view
                .composer
                .as_ref()
                .is_some_and(|c| !self.wanted.shows_in(c, placeholders)),
        };
        self.echoed |= view
            .composer
            .as_ref()
            .is_some_and(|c| self.wanted.shows_in(c, placeholders));
        if !left {
            (self.cleared, self.complete) = (None, None);
            return None;
        }
        let since = *self.cleared.get_or_insert(now);
        self.saw(Witness::Screen, "the text left the composer", now);
        Some(Left {
            settled: now.saturating_duration_since(since) >= rule.settle(),
            says_working,
            repeated,
            queued: queued || (repeated && !view.queue.is_empty()),
        })
    }

    /// The verdict by what is seen.
    fn by_signs(&mut self, left: &Left, rule: &SendRule) -> Option<Verdict> {
        let Left {
            settled,
            says_working,
            repeated,
            queued,
        } = *left;
        let submitted = self.recorded == Some(Says::Submitted);
        // A message that was never seen, neither in the composer nor above it, may have gone anywhere:
        // a dialog swallows a paste, takes the Enter for itself, and the turn goes on.
        if !self.echoed && !repeated && !queued && !submitted {
            return None;
        }
        if rule.signs > 1 {
            let both = repeated && (says_working || self.turned_busy);
            return (both && !self.before.busy).then_some(Verdict::Accepted);
        }
        if self.before.busy {
            // The turn that was running explains a busy sign; only the text itself speaks for us.
            if queued {
                return Some(Verdict::Queued);
            }
            // A queue row may be drawn a frame after the text: wait before calling it steered.
            return (repeated && settled).then_some(Verdict::Accepted);
        }
        let at_once = says_working || (self.turned_busy && repeated);
        let later = self.turned_busy && settled;
        let followed = submitted && (repeated || self.turned_busy);
        (at_once || later || followed).then_some(Verdict::Accepted)
    }
}

/// What the screen shows of a message that has left the composer.
struct Left {
    /// It left some time ago.
    settled: bool,
    /// The runtime said in the stream that it is working.
    says_working: bool,
    /// The text stands above the composer, once more than before.
    repeated: bool,
    /// The runtime's queue shows it.
    queued: bool,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}

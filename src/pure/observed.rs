//! Messages typed by somebody else: a person, `tmux send-keys`, an old script.
//!
//! The sidecar sees every Enter that comes from the outer terminal. What was typed before it is judged
//! by the same rules as a message of our own; only the gate is missing, so more ends as `unknown`.

use std::time::{Duration, Instant, SystemTime};

use super::followed::Followed;
use super::judge::{Holds, Judge, Wanted};
use super::profile::Profile;
use super::receipt::{REMEMBERED, Receipt, Verdict, unix_ms};
use super::recorded::Recorded;
use super::screen::Screen;
use super::view::View;

/// How long the evidence may take at most; a runtime that was stopped for 5 s reads its Enter then.
const LASTS: Duration = Duration::from_secs(30);

/// A text that stands alone in an idle composer for so long after its Enter, which the runtime has read, was not
/// submitted. Slowest start of a first turn: the text left opencode's composer 2.1 s after Enter, and more than 3 s
/// after it where seven processes wanted each core.
const SITS: Duration = Duration::from_secs(5);

/// One submission that was seen on the input side.
#[derive(Debug)]
pub struct Observed {
    id: String,
    text: String,
    judge: Judge,
    /// It begins like a command, which looks on the screen just like a message.
    command: bool,
    recorded: bool,
    at: Instant,
    at_wall: SystemTime,
}

/// What an Enter was.
#[derive(Debug)]
pub enum Enter {
    /// Nothing was there to be submitted.
    Bare,
    /// Something that cannot become a message; this is all there is to say about it.
    Settled(Box<Receipt>),
    /// A message; its fate will show.
    Watched(Box<Observed>),
}

impl Observed {
    /// Somebody pressed Enter: `typed` since the last one, in front of this screen.
    pub fn enter(
        id: String,
        typed: &str,
        screen: &Screen,
        view: &View,
        profile: &Profile,
        (now, wall): (Instant, SystemTime),
    ) -> Enter {
        let in_box = view.composer.as_ref().map_or("", |c| c.text.as_str());
        let text = if typed.trim().is_empty() {
            in_box
        } else {
            typed
        };
        if text.trim().is_empty() {
            return Enter::Bare;
        }
        let settled = |why: &str| {
            let mut receipt = Receipt::bare(&id, Verdict::Unknown, why, wall);
            receipt.head = text.chars().take(REMEMBERED).collect();
            receipt.bytes = text.len();
            receipt.enters = 1;
            Enter::Settled(Box::new(receipt))
        };
        if view.dialog.is_some() {
            return settled("a dialog was open when Enter was pressed");
        }
        let first = text.trim_start().chars().next();
        let command = first.is_some_and(|c| profile.send.special_first.contains(c));
        let placeholders = &profile.composer.placeholder;
        let judge = Judge::before_enter(Wanted::new(text, 0), screen, view, placeholders, now);
        Enter::Watched(Box::new(Observed {
            text: text.to_owned(),
            judge,
            command,
            recorded: false,
            at: now,
            at_wall: wall,
            id,
        }))
    }

    /// When to look again though nothing new is drawn.
    pub fn next_look(&self, profile: &Profile, now: Instant) -> Instant {
        let sits = Some(self.at + SITS).filter(|at| *at > now);
        let judged = self.judge.next_look(&profile.send, now);
        let soon = judged.into_iter().chain(sits).min();
        soon.unwrap_or(self.at + LASTS).min(self.at + LASTS)
    }

    /// The runtime has written something down. True if it is this message.
    ///
    /// A command's entry has its words, too; what is no command stands there as it was typed.
    pub fn recorded(&mut self, recorded: &Recorded, now: Instant) -> bool {
        let ours = !self.command || recorded.text.trim() == self.text.trim();
        self.recorded |= ours && self.judge.recorded_of_keys(recorded, now);
        self.recorded
    }

    /// The message in the forms it may be seen in.
    pub fn wanted(&self) -> &Wanted {
        self.judge.wanted()
    }

    /// What may still come of it, once its receipt says this.
    pub fn followed(&self, verdict: Verdict, now: Instant) -> Option<Followed> {
        let follow = match verdict {
            Verdict::Queued => Followed::new,
            Verdict::Draft if !self.command => Followed::doubted,
            Verdict::Unknown if self.judge.lacks_record() => Followed::doubted,
            _ => return None,
        };
        Some(follow(self.id.clone(), self.wanted().clone(), now))
    }

    /// Whether a turn was seen since before its Enter.
    pub fn saw_turn(&self) -> bool {
        self.judge.saw_turn()
    }

    /// Looks at a settled screen; the receipt once the fate is known or the time is over.
    pub fn look(
        &mut self,
        screen: &Screen,
        view: &View,
        profile: &Profile,
        record_within: Option<Duration>,
        reads: bool,
        now: Instant,
    ) -> Option<Box<Receipt>> {
        let placeholders = &profile.composer.placeholder;
        let seen = self
            .judge
            .look(
                screen,
                view,
                placeholders,
                &profile.send,
                record_within,
                now,
            )
            .filter(|_| self.recorded || !self.command);
        match seen {
            Some(verdict) => {
                let why = match self.recorded {
                    true => "the runtime has written it down",
                    false => "seen on the screen",
                };
                Some(self.receipt(verdict, why, now))
            }
            None if now >= self.at + LASTS => Some(self.give_up(view, profile, now)),
            None if reads && now >= self.at + SITS && self.sits(view, profile) => {
                Some(self.give_up(view, profile, now))
            }
            None => None,
        }
    }

    /// Whether it stands alone in the composer of an idle runtime.
    fn sits(&self, view: &View, profile: &Profile) -> bool {
        let placeholders = &profile.composer.placeholder;
        let alone = |c| self.judge.wanted().in_composer(c, placeholders) == Holds::Ours;
        view.busy.is_none() && view.composer.as_ref().is_some_and(alone)
    }

    /// When Enter was seen.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// What can be said while its fate is open, if it is the message asked for.
    pub fn open_receipt(&self, id: Option<&str>, contains: Option<&str>) -> Option<Box<Receipt>> {
        let is_it = id.is_none_or(|id| self.id == id)
            && contains.is_none_or(|part| self.text.contains(part));
        let why = "it was typed, and what became of it does not show yet; ask again";
        is_it.then(|| {
            let mut receipt = self.receipt(Verdict::Unknown, why, self.at);
            receipt.open = true;
            receipt
        })
    }

    /// The receipt when nothing more can come: the next Enter, or the end.
    pub fn give_up(&self, view: &View, profile: &Profile, now: Instant) -> Box<Receipt> {
        let placeholders = &profile.composer.placeholder;
        let there = view
            .composer
            .as_ref()
            .is_some_and(|c| self.judge.wanted().shows_in(c, placeholders));
        if there {
            self.receipt(Verdict::Draft, "it still stands in the composer", now)
        } else if self.command {
            let why = "it begins with a character that this runtime takes for a command";
            self.receipt(Verdict::Unknown, why, now)
        } else {
            self.receipt(Verdict::Unknown, "nothing showed that it was taken", now)
        }
    }

    fn receipt(&self, verdict: Verdict, why: &str, now: Instant) -> Box<Receipt> {
        let mut receipt = Receipt::bare(&self.id, verdict, why, self.at_wall);
        receipt.typed = true;
        receipt.evidence = self.judge.evidence().to_vec();
        receipt.enters = 1;
        receipt.bytes = self.text.len();
        receipt.head = self.text.chars().take(REMEMBERED).collect();
        let ms = now.saturating_duration_since(self.at).as_millis();
        receipt.timing.verdict_ms = u64::try_from(ms).ok();
        receipt.timing.enter_ms = Some(0);
        debug_assert_eq!(receipt.at_ms, unix_ms(self.at_wall));
        Box::new(receipt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::profile::Profiles;
    use crate::pure::recorded::Says;
    use crate::units::TermSize;

    const BUSY: &str = " ⠋ Thinking… (0s · esc to interrupt)";

    fn draws(screen: &mut Screen, transcript: &str, status: &str, composer: &str) {
        let rule = "─".repeat(60);
        let frame = format!(
            "\x1b[2J\x1b[H{transcript}\x1b[8;1H{status}\x1b[9;1H{rule}\x1b[11;1H{rule}\x1b[10;1H❭ {composer}"
        );
        screen.feed(frame.as_bytes());
    }

    /// The verdict on a line that was typed and shows all the signs of a turn; what a record says comes before.
    fn verdict(line: &str, recorded: Option<&str>) -> Option<Verdict> {
        let profiles = Profiles::with(&[]);
        let profile = profiles.named("demo").expect("it is there");
        let mut screen = Screen::new(TermSize { cols: 60, rows: 12 });
        draws(&mut screen, "", "", line);
        let now = Instant::now();
        let clocks = (now, SystemTime::now());
        let view = View::of(&screen, profile);
        let Enter::Watched(mut observed) =
            Observed::enter("1".into(), line, &screen, &view, profile, clocks)
        else {
            panic!("{line} is no message");
        };
        if let Some(text) = recorded {
            let recorded = Recorded {
                by: "its record".into(),
                text: text.into(),
                says: Says::Taken,
            };
            observed.recorded(&recorded, now);
        }
        draws(&mut screen, &format!("❭ {line}"), BUSY, "");
        let view = View::of(&screen, profile);
        let receipt = observed.look(&screen, &view, profile, None, false, now);
        receipt.map(|receipt| receipt.verdict)
    }

    #[test]
    fn a_typed_command_is_no_message_however_much_happens_after_it() {
        assert_eq!(verdict("run the tests", None), Some(Verdict::Accepted));
        assert_eq!(verdict("/compact the session", None), None);
        // Unless the runtime itself has it as a prompt, as it was typed.
        assert_eq!(
            verdict("/compact the session", Some("/compact the session")),
            Some(Verdict::Accepted)
        );
        assert_eq!(
            verdict("/compact the session", Some("compact the session")),
            None
        );
    }
}

//! A message in the forms in which it may be seen again: in a composer, above it, in a queue, in a record.
//!
//! It decides whether something shown or written down is this message. What follows from that is decided by whoever
//! asks.

use crate::pure::recorded::Recorded;
use crate::pure::text::Squeezed;
use crate::pure::view::Composer;

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
    pub(super) fn occurrences(&self, above: &Squeezed) -> (usize, usize) {
        (above.count(&self.head), above.count(&self.tail))
    }

    /// How many rows of the runtime's queue show this message, or as much of it as fits on a row.
    pub(super) fn queued_in(&self, queue: &[String]) -> usize {
        queue
            .iter()
            .map(|row| Squeezed::new(row))
            .filter(|row| {
                row.chars() > self.preamble && self.whole.as_str().starts_with(row.as_str())
            })
            .count()
    }
}

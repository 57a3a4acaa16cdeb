//! Comparing what was sent with what a screen shows of it.
//!
//! Runtimes wrap lines (inside words too), indent continuations, draw bars and frames, swap blanks for
//! no-break blanks and leave tabs out. What survives all of that is the order of the letters and digits.

/// Text reduced to what survives being drawn.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Squeezed(String);

impl Squeezed {
    /// Keeps letters and digits; a text without any keeps every visible character instead.
    ///
    /// Letters that can be written in two ways (`é` as one character, or as `e` and an accent) are left
    /// out in both: runtimes normalise what they are given.
    pub fn new(text: &str) -> Squeezed {
        let mut kept = String::with_capacity(text.len());
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let marked = chars.peek().is_some_and(|next| is_mark(*next));
            if c.is_alphanumeric() && !marked && !is_composed(c) && !is_mark(c) {
                kept.push(c);
            }
        }
        if kept.is_empty() {
            let visible = |c: &char| !c.is_whitespace() && !c.is_control() && !is_frame(*c);
            return Squeezed(text.chars().filter(visible).collect());
        }
        Squeezed(kept)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The squeezed text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many characters are left.
    pub fn chars(&self) -> usize {
        self.0.chars().count()
    }

    /// How often `probe` occurs (overlaps not counted).
    pub fn count(&self, probe: &Squeezed) -> usize {
        if probe.is_empty() {
            return 0;
        }
        self.0.matches(probe.as_str()).count()
    }

    /// The first `n` characters.
    pub fn head(&self, n: usize) -> Squeezed {
        Squeezed(self.0.chars().take(n).collect())
    }

    /// The last `n` characters.
    pub fn tail(&self, n: usize) -> Squeezed {
        let skip = self.chars().saturating_sub(n);
        Squeezed(self.0.chars().skip(skip).collect())
    }

    /// Whether this text ends with `other`.
    pub fn ends_with(&self, other: &Squeezed) -> bool {
        self.0.ends_with(other.as_str())
    }
}

/// Box drawing and block elements: frames of a TUI, never text of a message that has other characters.
fn is_frame(c: char) -> bool {
    ('\u{2500}'..='\u{259f}').contains(&c)
}

/// Combining marks that join the letter before them into one.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{3099}'..='\u{309a}')
}

/// Letters that canonical decomposition takes apart: Latin with marks, Greek and Cyrillic with theirs,
/// voiced kana. The Latin and Greek ranges hold a few whole letters too, which does no harm.
fn is_composed(c: char) -> bool {
    matches!(c,
        '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1fff}' | '\u{386}'..='\u{390}'
        | '\u{3aa}'..='\u{3b0}' | '\u{3ca}'..='\u{3ce}' | '\u{400}'..='\u{40e}' | '\u{419}'
        | '\u{439}' | '\u{450}'..='\u{45e}' | '\u{4c1}'..='\u{4f9}' | '\u{304c}'..='\u{3069}'
        | '\u{3070}'..='\u{307d}' | '\u{3094}' | '\u{309e}' | '\u{30ac}'..='\u{30c9}'
        | '\u{30d0}'..='\u{30dd}' | '\u{30f4}' | '\u{30f7}'..='\u{30fe}' | '\u{ac00}'..='\u{d7a3}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_written_in_two_ways_is_the_same_text() {
        let apart = "cafe\u{301} и\u{306} か\u{3099} end";
        let together = "café й が end";
        assert_eq!(Squeezed::new(apart), Squeezed::new(together));
        assert_ne!(Squeezed::new("cafe end"), Squeezed::new("café end"));
    }

    #[test]
    fn wrapping_frames_and_blanks_do_not_matter() {
        let sent = Squeezed::new("Please check src/util.rs — now\n\tand then report");
        let drawn =
            Squeezed::new("┃  Please check src/ut\n┃  il.rs — now\n┃  and\u{a0}then report");
        assert_eq!(sent, drawn);
    }

    #[test]
    fn a_text_of_signs_alone_is_still_compared() {
        assert_eq!(Squeezed::new("?! 👍"), Squeezed::new("│ ?!👍 "));
        assert_ne!(Squeezed::new("?!"), Squeezed::new("!!"));
    }

    #[test]
    fn an_empty_probe_occurs_nowhere() {
        assert_eq!(Squeezed::new("abc").count(&Squeezed::default()), 0);
        assert_eq!(Squeezed::new("ab ab").count(&Squeezed::new("ab")), 2);
    }
}

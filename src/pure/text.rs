//! Comparing what was sent with what a screen shows of it.
//!
//! Runtimes wrap lines (inside words too), indent continuations, draw bars and frames, swap blanks for
//! no-break blanks and leave tabs out. What survives all of that is the order of the letters and digits.

/// Text reduced to what survives being drawn.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Squeezed(String);

impl Squeezed {
    /// Keeps letters and digits; a text without any keeps every visible character instead.
    pub fn new(text: &str) -> Squeezed {
        let kept: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

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

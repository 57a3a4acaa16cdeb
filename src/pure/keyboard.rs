//! Who typed: tells a person's keys from what the terminal itself says on the same line.
//!
//! The outer terminal sends replies (device attributes, cursor reports, colours), focus and mouse
//! events on the input stream. Taking those for a person would refuse sends for no reason; taking a
//! person for those would fuse a draft.

use super::whole::Whole;

/// What a stretch of outer input held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Keys or pastes of a person (or of a program that types like one).
    pub by_hand: bool,
    /// Keys came after the last Enter in it.
    pub unsubmitted: bool,
    /// For every Enter in it: what was typed since the one before (or since the line was cleared).
    pub submitted: Vec<String>,
}

/// Most of a line that is remembered until its Enter, in bytes.
const LINE_MAX: usize = 16 * 1024;

/// Reads outer input, cut anywhere.
pub struct Keyboard {
    parser: vte::Parser,
    whole: Whole,
    reader: Reader,
}

#[derive(Default)]
struct Reader {
    by_hand: bool,
    /// An Enter came; `by_hand` counts from there.
    entered: bool,
    in_paste: bool,
    line: String,
    submitted: Vec<String>,
    /// Bytes that still belong to an old-style mouse report (`CSI M` and three more).
    mouse_bytes: u8,
}

impl Default for Keyboard {
    fn default() -> Keyboard {
        Keyboard {
            parser: vte::Parser::new(),
            whole: Whole::default(),
            reader: Reader::default(),
        }
    }
}

impl Keyboard {
    /// Takes the next input bytes and says what they held.
    pub fn feed(&mut self, bytes: &[u8]) -> Typed {
        let (parser, reader) = (&mut self.parser, &mut self.reader);
        self.whole.cut(bytes, |piece| parser.advance(reader, piece));
        // A lone ESC is a key too. Terminals write their sequences whole, so nothing that follows is part of it.
        if bytes == b"\x1b" {
            self.reader.by_hand = true;
            self.parser = vte::Parser::new();
        }
        let unsubmitted = std::mem::take(&mut self.reader.by_hand);
        Typed {
            by_hand: std::mem::take(&mut self.reader.entered) || unsubmitted,
            unsubmitted,
            submitted: std::mem::take(&mut self.reader.submitted),
        }
    }
}

impl Keyboard {
    /// What was typed since the last Enter, and whether that is in the middle of a paste.
    pub fn line(&self) -> (String, bool) {
        (self.reader.line.clone(), self.reader.in_paste)
    }

    /// Goes on behind such a line.
    pub fn resume(&mut self, (line, in_paste): (String, bool)) {
        (self.reader.line, self.reader.in_paste) = (line, in_paste);
    }

    /// Whether a person has typed something since the last Enter that is still to be seen.
    pub fn holds_text(&self) -> bool {
        !self.reader.line.is_empty()
    }
}

impl Reader {
    fn add(&mut self, c: char) {
        if self.line.len() < LINE_MAX {
            self.line.push(c);
        }
    }
}

impl vte::Perform for Reader {
    fn print(&mut self, c: char) {
        if self.mouse_bytes > 0 {
            self.mouse_bytes -= 1;
            return;
        }
        self.by_hand = true;
        match c {
            '\x7f' if !self.in_paste => {
                self.line.pop();
            }
            c => self.add(c),
        }
    }

    fn execute(&mut self, byte: u8) {
        if self.mouse_bytes > 0 {
            self.mouse_bytes -= 1;
            return;
        }
        self.by_hand = true;
        match (byte, self.in_paste) {
            (b'\r', false) => {
                (self.entered, self.by_hand) = (true, false);
                let line = std::mem::take(&mut self.line);
                if self.submitted.len() < 64 {
                    self.submitted.push(line);
                }
            }
            (b'\r' | b'\n', _) => self.add('\n'),
            (b'\t', _) => self.add('\t'),
            (0x08, false) => {
                self.line.pop();
            }
            // ^C and ^U clear what is there; what else a key does to the line is not followed.
            (0x03 | 0x15, false) => self.line.clear(),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &vte::Params, intermediates: &[u8], _: bool, last: char) {
        let marked = |mark: u8| intermediates.first() == Some(&mark);
        if last == '~' {
            match params.iter().next() {
                Some([200]) => self.in_paste = true,
                Some([201]) => self.in_paste = false,
                _ => {}
            }
        }
        match last {
            'I' | 'O' if params.iter().all(|p| p == [0]) => {} // focus in, focus out
            'M' | 'm' if marked(b'<') => {}                    // SGR mouse
            'M' => self.mouse_bytes = 3,
            'c' | 'n' | 't' | 'x' => {} // device attributes, status, window reports
            'y' if intermediates.contains(&b'$') => {} // DECRQM
            'R' if params.len() == 2 => {} // cursor report (F3 with a modifier looks the same)
            'u' if marked(b'?') => {}   // kitty keyboard flags
            _ => self.by_hand = true,
        }
    }

    fn esc_dispatch(&mut self, _: &[u8], _: bool, last: u8) {
        // The end of a string (ST) belongs to the terminal's reply before it.
        self.by_hand |= last != b'\\';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_hand(bytes: &[u8]) -> bool {
        let mut whole = Keyboard::default();
        let once = whole.feed(bytes).by_hand;
        let mut cut = Keyboard::default();
        let pieces: Vec<bool> = bytes.chunks(1).map(|b| cut.feed(b).by_hand).collect();
        // Cut after its first byte, an escape sequence looks like the Escape key for that moment.
        if bytes.first() != Some(&0x1b) && !bytes.contains(&0x1b) {
            assert_eq!(once, pieces.contains(&true), "{bytes:?} cut at every byte");
        }
        once
    }

    #[test]
    fn replies_of_the_terminal_are_no_keys() {
        for reply in [
            b"\x1b[?1;2c".as_slice(),
            b"\x1b[>84;0;0c",
            b"\x1b[12;40R",
            b"\x1bP>|tmux 3.3a\x1b\\",
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
            b"\x1b]10;rgb:ffff/ffff/ffff\x07",
            b"\x1b[?2026;2$y",
            b"\x1b[I",
            b"\x1b[O",
            b"\x1b[<35;10;5M",
            b"\x1b[M abc"[..6].as_ref(),
            b"\x1b[?0u",
            b"\x1b[8;40;120t",
        ] {
            assert!(!by_hand(reply), "{}", reply.escape_ascii());
        }
    }

    #[test]
    fn every_enter_brings_what_was_typed_before_it() {
        let mut keyboard = Keyboard::default();
        let typed = keyboard.feed(b"one\rtw\x7fwo\x15three \x1b[200~a\rb\x1b[201~");
        assert_eq!(typed.submitted, ["one"]);
        assert_eq!(keyboard.feed(b"!\r\r").submitted, ["three a\nb!", ""]);
    }

    #[test]
    fn the_escape_key_eats_nothing_of_what_is_typed_after_it() {
        let mut keyboard = Keyboard::default();
        assert!(keyboard.feed(b"\x1b").by_hand);
        assert!(keyboard.feed(b"q").by_hand && keyboard.holds_text());
        assert_eq!(keyboard.feed(b"abc\r").submitted, ["qabc"]);
        assert!(!keyboard.holds_text());
    }

    #[test]
    fn what_comes_after_the_last_enter_is_not_submitted() {
        let left = |bytes: &[u8]| Keyboard::default().feed(bytes).unsubmitted;
        assert!(left(b"one") && left(b"one\rx") && left(b"\r\x1b[A"));
        assert!(!left(b"one\r") && !left(b"\x1b[I") && !left(b"\r\x1b[12;40R"));
    }

    #[test]
    fn keys_and_pastes_are() {
        for key in [
            b"a".as_slice(),
            "é".as_bytes(),
            b"\r",
            b"\x7f",
            b"\x03",
            b"\x1b",
            b"\x1b[A",
            b"\x1bOA",
            b"\x1b[200~hello\x1b[201~",
            b"\x1bb",
            b"\x1b[97;5u",
        ] {
            assert!(by_hand(key), "{}", key.escape_ascii());
        }
    }
}

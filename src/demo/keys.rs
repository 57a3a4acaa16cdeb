//! Bytes of the terminal become keys and pastes. Pure and incremental: any split of the stream
//! gives the same inputs.
//!
//! What is no key of this program (focus events, mouse reports, replies of the terminal, unknown
//! sequences) is recognised as a whole and dropped. The only thing that needs a clock is a lone
//! `ESC`: see [`Decoder::pending_escape`].

/// One key that means something to the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A printable character.
    Char(char),
    /// CR.
    Enter,
    /// LF (Ctrl-J), or Enter with Alt.
    Newline,
    /// DEL or BS.
    Backspace,
    /// Delete forward.
    Delete,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Home, or Ctrl-A.
    Home,
    /// End, or Ctrl-E.
    End,
    /// Ctrl-U.
    KillToStart,
    /// Ctrl-C.
    CtrlC,
    /// Ctrl-D.
    CtrlD,
    /// Escape.
    Escape,
}

/// One thing that came from the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key.
    Key(Key),
    /// A bracketed paste, with every line ending as `\n`.
    Paste(String),
}

const PASTE_END: &[u8] = b"\x1b[201~";
/// A paste longer than this is handed over in parts: its end marker may never come.
const PASTE_MAX: usize = 8 << 20;
/// A control sequence longer than this is none.
const CSI_MAX: usize = 256;
/// A string sequence longer than this is none.
const STRING_MAX: usize = 64 << 10;

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// The first bytes of a character of several, and how many it has in all.
    Utf8 {
        bytes: Vec<u8>,
        len: usize,
    },
    Escape,
    /// `ESC O`.
    Ss3,
    /// The parameters so far.
    Csi(Vec<u8>),
    /// Bytes to drop that are no part of the sequence proper.
    Skip(usize),
    /// OSC, DCS, APC, PM or SOS: its length, and whether the last byte was `ESC`.
    String {
        len: usize,
        escape: bool,
    },
    Paste(Vec<u8>),
}

/// The incremental decoder.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

impl Decoder {
    /// Takes the next bytes and returns what they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Input> {
        let mut out = Vec::new();
        for &byte in bytes {
            self.byte(byte, &mut out);
        }
        out
    }

    /// Whether all that is open is one `ESC`. When nothing follows it for a moment, it was the
    /// key: call [`Decoder::flush`].
    pub fn pending_escape(&self) -> bool {
        matches!(self.state, State::Escape)
    }

    /// Time has passed: a lone `ESC` was the Escape key. Anything else stays open.
    pub fn flush(&mut self) -> Option<Input> {
        if !self.pending_escape() {
            return None;
        }
        self.state = State::Ground;
        Some(Input::Key(Key::Escape))
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<Input>) {
        match std::mem::take(&mut self.state) {
            State::Ground => self.ground(byte, out),
            State::Utf8 { bytes, len } => self.utf8(bytes, len, byte, out),
            State::Escape => self.escape(byte, out),
            State::Ss3 => match byte {
                0x1b => self.state = State::Escape,
                _ => out.extend(letter_key(byte).map(Input::Key)),
            },
            State::Csi(params) => self.csi(params, byte, out),
            State::Skip(left) => {
                if left > 1 {
                    self.state = State::Skip(left - 1);
                }
            }
            State::String { len, escape } => self.string(len, escape, byte, out),
            State::Paste(text) => self.paste(text, byte, out),
        }
    }

    fn ground(&mut self, byte: u8, out: &mut Vec<Input>) {
        let key = match byte {
            0x01 => Key::Home,
            0x03 => Key::CtrlC,
            0x04 => Key::CtrlD,
            0x05 => Key::End,
            0x08 | 0x7f => Key::Backspace,
            b'\n' => Key::Newline,
            b'\r' => Key::Enter,
            0x15 => Key::KillToStart,
            0x1b => {
                self.state = State::Escape;
                return;
            }
            0x20..=0x7e => Key::Char(char::from(byte)),
            0x00..=0x1f => return,
            0x80.. => {
                let len = match byte {
                    0xc2..=0xdf => 2,
                    0xe0..=0xef => 3,
                    0xf0..=0xf4 => 4,
                    _ => {
                        out.push(Input::Key(Key::Char(char::REPLACEMENT_CHARACTER)));
                        return;
                    }
                };
                let bytes = vec![byte];
                self.state = State::Utf8 { bytes, len };
                return;
            }
        };
        out.push(Input::Key(key));
    }

    fn utf8(&mut self, mut bytes: Vec<u8>, len: usize, byte: u8, out: &mut Vec<Input>) {
        if byte & 0xc0 != 0x80 {
            out.push(Input::Key(Key::Char(char::REPLACEMENT_CHARACTER)));
            self.ground(byte, out);
            return;
        }
        bytes.push(byte);
        if bytes.len() < len {
            self.state = State::Utf8 { bytes, len };
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        // C1 controls are no text.
        let printable = text.chars().filter(|c| !c.is_control());
        out.extend(printable.map(|c| Input::Key(Key::Char(c))));
    }

    fn escape(&mut self, byte: u8, out: &mut Vec<Input>) {
        match byte {
            b'[' => self.state = State::Csi(Vec::new()),
            b'O' => self.state = State::Ss3,
            b']' | b'P' | b'_' | b'^' | b'X' => {
                let (len, escape) = (0, false);
                self.state = State::String { len, escape };
            }
            0x1b => {
                out.push(Input::Key(Key::Escape));
                self.state = State::Escape;
            }
            b'\r' => out.push(Input::Key(Key::Newline)),
            // Alt with a key that has no meaning here.
            0x20..=0x7e => {}
            // The Escape key, and then another one.
            _ => {
                out.push(Input::Key(Key::Escape));
                self.ground(byte, out);
            }
        }
    }

    fn csi(&mut self, mut params: Vec<u8>, byte: u8, out: &mut Vec<Input>) {
        match byte {
            0x1b => self.state = State::Escape,
            0x20..=0x3f if params.len() < CSI_MAX => {
                params.push(byte);
                self.state = State::Csi(params);
            }
            // The function keys of the Linux console.
            b'[' if params.is_empty() => self.state = State::Skip(1),
            // A mouse report of the oldest kind.
            b'M' if params.is_empty() => self.state = State::Skip(3),
            b'~' if params == b"200" => self.state = State::Paste(Vec::new()),
            0x40..=0x7e => out.extend(csi_key(&params, byte).map(Input::Key)),
            0x00..=0x1f => self.ground(byte, out),
            _ => {}
        }
    }

    fn string(&mut self, len: usize, escape: bool, byte: u8, out: &mut Vec<Input>) {
        let len = len + 1;
        match byte {
            b'\\' if escape => {}
            0x07 => {}
            // Not a string after all: a person's Alt-], say.
            0x03 | b'\r' => self.ground(byte, out),
            _ if escape => self.escape(byte, out),
            _ if len >= STRING_MAX => {}
            _ => {
                let escape = byte == 0x1b;
                self.state = State::String { len, escape };
            }
        }
    }

    fn paste(&mut self, mut text: Vec<u8>, byte: u8, out: &mut Vec<Input>) {
        text.push(byte);
        if text.ends_with(PASTE_END) {
            text.truncate(text.len() - PASTE_END.len());
            out.push(Input::Paste(paste_text(&text)));
            return;
        }
        // Only where no character, line end or end marker can be open.
        let in_marker = |text: &[u8]| text.iter().rev().take(PASTE_END.len()).any(|b| *b == 0x1b);
        if text.len() >= PASTE_MAX && byte.is_ascii_graphic() && !in_marker(&text) {
            out.push(Input::Paste(paste_text(&text)));
            text.clear();
        }
        self.state = State::Paste(text);
    }
}

/// Terminals send line ends in a paste as CR (tmux), LF or both.
fn paste_text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .replace("\r\n", "\n")
        .replace('\r', "\n")
}

fn csi_key(params: &[u8], last: u8) -> Option<Key> {
    // `?`, `<`, `>`, `=` and intermediates mark replies and reports.
    if !params.iter().all(|b| b.is_ascii_digit() || *b == b';') {
        return None;
    }
    if last != b'~' {
        return letter_key(last);
    }
    // A modifier after `;` changes nothing.
    match params.split(|b| *b == b';').next()? {
        b"1" | b"7" => Some(Key::Home),
        b"3" => Some(Key::Delete),
        b"4" | b"8" => Some(Key::End),
        _ => None,
    }
}

fn letter_key(last: u8) -> Option<Key> {
    match last {
        b'A' => Some(Key::Up),
        b'B' => Some(Key::Down),
        b'C' => Some(Key::Right),
        b'D' => Some(Key::Left),
        b'F' => Some(Key::End),
        b'H' => Some(Key::Home),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] = "a漢🎉\r\n\x1b[200~x\r\ny\x1b[3~漢\r\x1b[201~\x1b[D\x1bOA\x1b[1;5H\
        \x1b[I\x1b[<0;3;4M\x1b[?62;c\x1b]11;rgb:0/0/0\x1b\\\x1bP>|tmux\x1b\\\x1b[24;80R\x1b[Mabcz"
        .as_bytes();

    fn stream_inputs() -> Vec<Input> {
        use Input::{Key as K, Paste};
        vec![
            K(Key::Char('a')),
            K(Key::Char('漢')),
            K(Key::Char('🎉')),
            K(Key::Enter),
            K(Key::Newline),
            Paste("x\ny\u{1b}[3~漢\n".into()),
            K(Key::Left),
            K(Key::Up),
            K(Key::Home),
            K(Key::Char('z')),
        ]
    }

    #[test]
    fn any_split_gives_the_same_inputs() {
        for at in 0..=STREAM.len() {
            let mut decoder = Decoder::default();
            let mut got = decoder.feed(&STREAM[..at]);
            got.extend(decoder.feed(&STREAM[at..]));
            assert_eq!(got, stream_inputs(), "split at {at}");
        }
        let mut decoder = Decoder::default();
        let got: Vec<Input> = STREAM.iter().flat_map(|b| decoder.feed(&[*b])).collect();
        assert_eq!(got, stream_inputs());
    }

    #[test]
    fn a_lone_escape_is_a_key_only_after_a_pause() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert!(decoder.pending_escape());
        assert_eq!(decoder.flush(), Some(Input::Key(Key::Escape)));
        assert_eq!(decoder.feed(b"\x1b[20"), []);
        assert_eq!(decoder.flush(), None);
        assert_eq!(decoder.feed(b"0~p\x1b[201~"), [Input::Paste("p".into())]);
    }

    #[test]
    fn escape_and_another_control_key_are_two_keys() {
        let keys = Decoder::default().feed(b"\x1b\x03");
        assert_eq!(keys, [Input::Key(Key::Escape), Input::Key(Key::CtrlC)]);
    }

    #[test]
    fn broken_utf8_costs_one_replacement_and_no_key() {
        let keys = Decoder::default().feed(b"\xe6\xbc\rb");
        let want = [Key::Char('\u{fffd}'), Key::Enter, Key::Char('b')];
        assert_eq!(keys, want.map(Input::Key));
    }

    #[test]
    fn an_unfinished_string_does_not_swallow_enter() {
        let keys = Decoder::default().feed(b"\x1b]oops\rb");
        assert_eq!(keys, [Key::Enter, Key::Char('b')].map(Input::Key));
    }
}

//! What a terminal answers when the program in it asks: for a runtime that has no terminal but ours.
//!
//! Where there is an outer terminal, it answers; we add only `OSC 7501`, which none knows yet. Without one
//! we are an xterm with 256 colours, and say of it no more than the screen model can do. A program that asks
//! several things takes the last answer as the end of them all, so the order is kept, and each answer is
//! made at that place in the output at which its question stands (a cursor report is true only there).
//!
//! What a runtime prints may come from anybody. Of a question no answer repeats more than a number, and how many there
//! are in a second, and how many bytes wait, is limited: else a program that echoes would be kept busy for ever.

use std::time::{Duration, Instant};

/// The most answers in one [`WINDOW`]. A program may ask for its whole palette at its start: 256 questions.
const IN_WINDOW: u32 = 320;

/// See [`IN_WINDOW`].
const WINDOW: Duration = Duration::from_secs(1);

/// The most bytes of answers that wait to be written. A palette of 256 colours has 7 KB.
const PENDING_MAX: usize = 8 * 1024;

/// The longest question in a device control string; those in use have less than 30 bytes.
const STRING_MAX: usize = 128;

/// A cell in pixels, for programs that ask for it: nobody sees them, but they divide by it.
const CELL: (u16, u16) = (8, 16);

/// The answer to the question for a name and a version.
const WHO: &str = concat!("\x1bP>|mosaic-agent(", env!("CARGO_PKG_VERSION"), ")\x1b\\");

/// The colours of text and of what is behind it: a dark terminal, as most are.
const FOREGROUND: [u8; 3] = [0xe5; 3];
const BACKGROUND: [u8; 3] = [0; 3];

/// The first 16 colours of xterm; the others follow by rule.
const COLOURS: [[u8; 3]; 16] = [
    [0x00, 0x00, 0x00],
    [0xcd, 0x00, 0x00],
    [0x00, 0xcd, 0x00],
    [0xcd, 0xcd, 0x00],
    [0x00, 0x00, 0xee],
    [0xcd, 0x00, 0xcd],
    [0x00, 0xcd, 0xcd],
    [0xe5, 0xe5, 0xe5],
    [0x7f, 0x7f, 0x7f],
    [0xff, 0x00, 0x00],
    [0x00, 0xff, 0x00],
    [0xff, 0xff, 0x00],
    [0x5c, 0x5c, 0xff],
    [0xff, 0x00, 0xff],
    [0x00, 0xff, 0xff],
    [0xff, 0xff, 0xff],
];

/// A control sequence: its parameters, the two bytes between them and its end, and that end.
#[derive(Clone, Copy, Debug)]
pub struct Csi<'a> {
    /// For example `?` and `$` of `CSI ? 2026 $ p`.
    pub marks: (Option<u8>, Option<u8>),
    /// The parameters, each with its subparameters.
    pub params: &'a [&'a [u16]],
    /// The last character.
    pub end: char,
}

/// Names of terminfo and the answers to them, in hexadecimal: TN, Co, colors and RGB.
const CAPABILITIES: [(&str, &str); 4] = [
    ("544e", "\x1bP1+r544e=787465726d2d323536636f6c6f72\x1b\\"),
    ("436f", "\x1bP1+r436f=323536\x1b\\"),
    ("636f6c6f7273", "\x1bP1+r636f6c6f7273=323536\x1b\\"),
    ("524742", "\x1bP1+r524742=382f382f38\x1b\\"),
];

/// Where the output stands in a device control string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// In none.
    #[default]
    Outside,
    /// Its end is still to come.
    Inside,
    /// At its end.
    Whole,
}

/// The answers that wait to be written to the runtime.
#[derive(Debug, Default)]
pub struct Answers {
    /// Nobody else answers.
    alone: bool,
    pending: Vec<u8>,
    /// When the window began, and the answers given in it.
    window: Option<Instant>,
    given: u32,
    /// The last byte was an escape.
    escape: bool,
    /// The last device control string, and how far it has come.
    string: Vec<u8>,
    part: Part,
}

impl Answers {
    /// From now on every question is ours.
    pub fn be_alone(&mut self) {
        self.alone = true;
    }

    /// What is asked from now on is asked at this time.
    pub fn at(&mut self, now: Instant) {
        if self.window.is_none_or(|since| now >= since + WINDOW) {
            self.window = Some(now);
            self.given = 0;
        }
    }

    /// What is to be written to the runtime; what waits is empty then.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }

    /// Adds an answer: a beginning, numbers with semicolons between them, an end. Spelled out, because the
    /// machinery of `format!` weighs more than all that is said here.
    fn say(&mut self, begin: &str, numbers: &[u16], end: &str) {
        if self.given >= IN_WINDOW || self.pending.len() >= PENDING_MAX {
            return;
        }
        self.given += 1;
        self.pending.extend_from_slice(begin.as_bytes());
        for (n, number) in numbers.iter().enumerate() {
            if n > 0 {
                self.pending.push(b';');
            }
            let mut scale = 10_000;
            while scale > 1 && *number < scale {
                scale /= 10;
            }
            while scale > 0 {
                self.pending.push(b'0' + (number / scale % 10) as u8);
                scale /= 10;
            }
        }
        self.pending.extend_from_slice(end.as_bytes());
    }

    /// A control sequence that does nothing to the cells; `in_update` as in [`super::screen::Screen::in_update`].
    #[inline(never)]
    pub fn csi(&mut self, csi: Csi<'_>, screen: &vt100::Screen, in_update: bool) {
        if !self.alone {
            return;
        }
        let first = csi.params.first().and_then(|p| p.first()).copied();
        let first = first.unwrap_or(0);
        let (rows, cols) = screen.size();
        let (rows, cols) = (rows.get(), cols.get());
        let (row, col) = screen.cursor_position();
        // After the last column the cursor waits on it.
        let place = [row + 1, (col + 1).min(cols)];
        let (begin, numbers, end): (&str, &[u16], &str) = match (csi.marks, csi.end, first) {
            // A VT220 with colours.
            ((None, None), 'c', 0) => ("\x1b[?", &[62, 22], "c"),
            ((Some(b'>'), None), 'c', 0) => ("\x1b[>", &[1, 10, 0], "c"),
            ((Some(b'>'), None), 'q', 0) => (WHO, &[], ""),
            ((None, None), 'n', 5) => ("\x1b[", &[0], "n"),
            ((None, None), 'n', 6) => ("\x1b[", &place, "R"),
            ((Some(b'?'), None), 'n', 6) => ("\x1b[?", &place, "R"),
            // No key is ever sent in kitty's way.
            ((Some(b'?'), None), 'u', _) => ("\x1b[?", &[0], "u"),
            ((Some(b'?'), Some(b'$')), 'p', mode) => (
                "\x1b[?",
                &[mode, private_mode(mode, screen, in_update)],
                "$y",
            ),
            ((Some(b'$'), None), 'p', mode) => ("\x1b[", &[mode, 0], "$y"),
            ((None, None), 't', 14) => ("\x1b[", &[4, rows * CELL.1, cols * CELL.0], "t"),
            ((None, None), 't', 16) => ("\x1b[", &[6, CELL.1, CELL.0], "t"),
            ((None, None), 't', 18) => ("\x1b[", &[8, rows, cols], "t"),
            _ => return,
        };
        self.say(begin, numbers, end);
    }

    /// An operating system command, cut at its semicolons.
    pub fn osc(&mut self, params: &[&[u8]]) {
        match params {
            // On this claude starts to report its state in the stream.
            [b"7501", b"?", ..] => self.say("\x1b]7501;?\x1b\\", &[], ""),
            [b"4", pairs @ ..] if self.alone => {
                for pair in pairs.chunks_exact(2).filter(|pair| pair[1] == b"?") {
                    let number = pair[0].iter().try_fold(0u8, |n, digit| {
                        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
                        n.checked_mul(10)?.checked_add(digit)
                    });
                    if let Some(number) = number.filter(|_| !pair[0].is_empty()) {
                        self.colour(&[4, number.into()], palette(number));
                    }
                }
            }
            // One that names one colour and asks twice means the next one too.
            [[b'1', first @ b'0'..=b'2'], asked @ ..] if self.alone => {
                let numbers = 10 + u16::from(first - b'0')..=12;
                for (number, _) in numbers.zip(asked).filter(|(_, what)| **what == b"?") {
                    let behind = number == 11;
                    self.colour(&[number], if behind { BACKGROUND } else { FOREGROUND });
                }
            }
            _ => {}
        }
    }

    fn colour(&mut self, what: &[u16], colour: [u8; 3]) {
        let mut value = *b";rgb:0000/0000/0000\x1b\\";
        for (n, channel) in colour.into_iter().enumerate() {
            for digit in 0..4 {
                let nibble = if digit % 2 == 0 {
                    channel >> 4
                } else {
                    channel & 15
                };
                value[5 + 5 * n + digit] = b"0123456789abcdef"[usize::from(nibble)];
            }
        }
        let value = std::str::from_utf8(&value).unwrap_or_default();
        self.say("\x1b]", what, value);
    }

    /// Looks for the end of a device control string, which the screen model does not report: how many bytes
    /// the model must have taken before [`Answers::string`] answers it.
    pub fn up_to_string(&mut self, bytes: &[u8]) -> usize {
        if !self.alone {
            // Every byte of a flood comes by here.
            return bytes.len();
        }
        let mut next = 0;
        loop {
            if self.part == Part::Outside && !self.escape {
                // Up to the next escape nothing matters.
                next += memchr::memchr(b'\x1b', &bytes[next..]).unwrap_or(bytes.len() - next);
            }
            let Some(&byte) = bytes.get(next) else {
                return bytes.len();
            };
            let at = next;
            next += 1;
            let escaped = std::mem::replace(&mut self.escape, byte == b'\x1b');
            match (escaped, byte) {
                (true, b'P') => {
                    self.string.clear();
                    self.part = Part::Inside;
                }
                (true, b'\\') if self.part == Part::Inside => {
                    self.part = Part::Whole;
                    return at + 1;
                }
                (false, b'\x1b') => {}
                (false, byte)
                    if (byte != 0x18 && byte != 0x1a) && self.string.len() < STRING_MAX =>
                {
                    if self.part == Part::Inside {
                        self.string.push(byte);
                    }
                }
                // Every other sequence ends it, so do CAN and SUB, and one that is too long is none of ours.
                _ => self.part = Part::Outside,
            }
        }
    }

    /// Answers the device control string that has just become whole, if one has.
    #[inline(never)]
    pub fn string(&mut self) {
        if self.part != Part::Whole {
            return;
        }
        self.part = Part::Outside;
        let string = std::mem::take(&mut self.string);
        if string.starts_with(b"+q") {
            for name in string[2..].split(|b| *b == b';') {
                let known = |(known, _): &&(&str, _)| name.eq_ignore_ascii_case(known.as_bytes());
                let known = CAPABILITIES.iter().find(known);
                self.say(
                    known.map_or("\x1bP0+r\x1b\\", |(_, answer)| answer),
                    &[],
                    "",
                );
            }
        } else if string.starts_with(b"$q") {
            // Of its settings the model tells none.
            self.say("\x1bP0$r\x1b\\", &[], "");
        }
    }
}

/// Whether a private mode is set (1) or not (2); 0 if the model does not know it.
fn private_mode(mode: u16, screen: &vt100::Screen, in_update: bool) -> u16 {
    use vt100::{MouseProtocolEncoding as Encoding, MouseProtocolMode as Mouse};
    let (mouse, encoding) = (
        screen.mouse_protocol_mode(),
        screen.mouse_protocol_encoding(),
    );
    let is_set = match mode {
        1 => screen.application_cursor(),
        9 => mouse == Mouse::Press,
        25 => !screen.hide_cursor(),
        47 | 1049 => screen.alternate_screen(),
        1000 => mouse == Mouse::PressRelease,
        1002 => mouse == Mouse::ButtonMotion,
        1003 => mouse == Mouse::AnyMotion,
        1005 => encoding == Encoding::Utf8,
        1006 => encoding == Encoding::Sgr,
        2004 => screen.bracketed_paste(),
        2026 => in_update,
        _ => return 0,
    };
    if is_set { 1 } else { 2 }
}

/// xterm's palette: 16 colours, a cube of 6 x 6 x 6, 24 greys.
fn palette(number: u8) -> [u8; 3] {
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    match number {
        0..=15 => COLOURS[usize::from(number)],
        16..=231 => {
            let n = number - 16;
            [level(n / 36), level(n / 6 % 6), level(n % 6)]
        }
        232.. => [8 + 10 * (number - 232); 3],
    }
}

#[cfg(test)]
mod tests;

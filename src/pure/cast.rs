//! Recordings in asciicast format: read in versions 2 and 3, as they come off a disk (any line may be broken), and
//! written in version 3.

use std::time::Instant;

use serde_json::Value;

use crate::units::TermSize;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The terminal's size.
    pub size: TermSize,
    /// The runtime that was recorded, where the recorder has said so (`mosaic.runtime`, else the title's first word).
    pub runtime: String,
    /// Version 3 counts time from event to event, version 2 from the start.
    relative: bool,
}

/// What happened at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program printed this.
    Output(String),
    /// The terminal sent this.
    Input(String),
    /// The terminal changed its size.
    Resize(TermSize),
    /// A marker, an exit code, or something of a later version.
    Other,
}

/// Reads a recording line by line.
pub struct Reader {
    relative: bool,
    clock: f64,
}

impl Header {
    /// Reads the header line.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(line: &str) -> Result<Header, String> {
        let header: Value = serde_json::from_str(line)
            .map_err(|e| format!("line 1 is no asciicast header: {e}"))?;
        let relative = match header.get("version").and_then(Value::as_u64) {
            Some(2) => false,
            Some(3) => true,
            other => return Err(format!("line 1: asciicast version {other:?}, not 2 or 3")),
        };
        let number = |wide: &str, narrow: &str| {
            let value = header
                .get(wide)
                .or_else(|| header.get("term").and_then(|t| t.get(narrow)));
            let n = value.and_then(Value::as_u64).unwrap_or(0);
            u16::try_from(n).unwrap_or(u16::MAX)
        };
        let runtime = header
            .get("mosaic")
            .and_then(|m| m.get("runtime"))
            .or_else(|| header.get("title"))
            .and_then(Value::as_str)
            .and_then(|t| t.split_whitespace().next())
            .unwrap_or_default();
        Ok(Header {
            size: TermSize::clamped(number("width", "cols"), number("height", "rows")),
            runtime: runtime.to_owned(),
            relative,
        })
    }

    /// A reader for the lines that follow.
    pub fn reader(&self) -> Reader {
        Reader {
            relative: self.relative,
            clock: 0.0,
        }
    }
}

impl Reader {
    /// One event and its time in seconds from the start. Time never runs backwards.
    ///
    /// # Errors
    /// What is wrong with the line; the next one may be fine.
    pub fn read(&mut self, line: &str) -> Result<(f64, Event), String> {
        let (time, code, data): (f64, String, Value) =
            serde_json::from_str(line).map_err(|e| e.to_string())?;
        let time = if self.relative {
            self.clock + time
        } else {
            time
        };
        self.clock = self.clock.max(time);
        let text = data.as_str().unwrap_or_default();
        let event = match code.as_str() {
            "o" => Event::Output(text.to_owned()),
            "i" => Event::Input(text.to_owned()),
            "r" => match text.split_once('x') {
                Some((cols, rows)) => Event::Resize(TermSize::clamped(
                    cols.parse().unwrap_or(0),
                    rows.parse().unwrap_or(0),
                )),
                None => Event::Other,
            },
            _ => Event::Other,
        };
        Ok((self.clock, event))
    }
}

/// The first line of a recording in version 3, with its line feed.
pub fn header_line(size: TermSize, runtime: &str, unix_seconds: u64) -> String {
    let runtime = serde_json::to_string(runtime).unwrap_or_default();
    let TermSize { cols, rows } = size;
    format!(
        "{{\"version\":3,\"term\":{{\"cols\":{cols},\"rows\":{rows}}},\"timestamp\":{unix_seconds},\"mosaic\":{{\"runtime\":{runtime}}}}}\n"
    )
}

/// So many bytes of a file say whether it is a recording of ours.
pub const HEAD: usize = 128;

/// Whether a file that begins like this was begun by [`header_line`]. A source map also begins with `{"version":3,`, and
/// another recorder's file is somebody's own.
pub fn is_ours(head: &[u8]) -> bool {
    let ours = b"\"mosaic\":{";
    head.starts_with(b"{\"version\":3,\"term\":{") && head.windows(ours.len()).any(|w| w == ours)
}

/// Writes the events of a recording in version 3.
#[derive(Debug)]
pub struct Tape {
    last: Instant,
    /// Beginnings of characters whose rest has not come yet: of what is printed, and of what is typed.
    begun: [Vec<u8>; 2],
}

impl Tape {
    /// A tape that begins now.
    pub fn new(now: Instant) -> Tape {
        Tape {
            last: now,
            begun: Default::default(),
        }
    }

    /// Adds an event: `o` and `i` with bytes as they come, cut anywhere; all others with text. A character that is
    /// not whole yet waits for its rest; what is none at all becomes U+FFFD.
    pub fn add(&mut self, out: &mut Vec<u8>, now: Instant, code: &str, bytes: &[u8]) {
        let begun = &mut self.begun[usize::from(code == "i")];
        let is_stream = matches!(code, "o" | "i");
        let mut all = Vec::new();
        if is_stream {
            all = std::mem::take(begun);
        }
        all.extend_from_slice(bytes);
        if is_stream {
            *begun = all.split_off(whole(&all));
        }
        if all.is_empty() && is_stream {
            return;
        }
        let text = String::from_utf8_lossy(&all);
        let micros = now.saturating_duration_since(self.last).as_micros();
        self.last = now;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        out.extend_from_slice(format!("[{seconds}.{micros:06},\"{code}\",").as_bytes());
        out.extend_from_slice(&serde_json::to_vec(&*text).unwrap_or_default());
        out.extend_from_slice(b"]\n");
    }
}

/// How many of these bytes do not end within a character.
fn whole(bytes: &[u8]) -> usize {
    // The first byte of a character is at most three before its last one.
    for back in 1..=bytes.len().min(3) {
        let at = bytes.len() - back;
        let length = match bytes[at] {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        return if length > back { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_counts_from_the_start_and_3_from_event_to_event() {
        let two = Header::parse(r#"{"version":2,"width":80,"height":24,"title":"pi 0.73"}"#);
        let three = Header::parse(r#"{"version":3,"term":{"cols":80,"rows":24}}"#);
        let times = |header: Result<Header, String>| -> Vec<f64> {
            let Ok(header) = header else {
                return Vec::new();
            };
            let mut reader = header.reader();
            ["[0.5,\"o\",\"a\"]", "[1.5,\"i\",\"b\"]"]
                .iter()
                .filter_map(|l| reader.read(l).ok())
                .map(|(t, _)| t)
                .collect()
        };
        assert_eq!(two.clone().map(|h| h.runtime), Ok("pi".into()));
        assert_eq!(times(two), [0.5, 1.5]);
        assert_eq!(times(three), [0.5, 2.0]);
    }

    #[test]
    fn broken_lines_are_told_and_skipped() {
        assert!(Header::parse("{}").is_err());
        assert!(Header::parse("garbage").is_err());
        let Ok(header) = Header::parse(r#"{"version":2,"width":0,"height":99999}"#) else {
            panic!("a header")
        };
        assert_eq!(
            header.size,
            TermSize {
                cols: 80,
                rows: 1000
            }
        );
        let mut reader = header.reader();
        assert!(reader.read("[1,\"o\"]").is_err());
        assert!(reader.read("[1e999,\"o\",\"x\"]").is_err());
        assert_eq!(reader.read("[1,\"z\",{}]"), Ok((1.0, Event::Other)));
    }

    #[test]
    fn what_is_written_is_read_back_wherever_the_stream_is_cut() {
        use std::time::Duration;
        let text = "a\u{e9}\u{6f22}\u{1f44d}\"\\\u{1b}[m\r\n";
        for cut in 0..=text.len() {
            let now = Instant::now();
            let mut tape = Tape::new(now);
            let mut out = header_line(TermSize { cols: 70, rows: 20 }, "p\"i", 9).into_bytes();
            tape.add(
                &mut out,
                now + Duration::from_millis(1_500),
                "o",
                &text.as_bytes()[..cut],
            );
            tape.add(&mut out, now + Duration::from_millis(2_000), "m", b"");
            tape.add(
                &mut out,
                now + Duration::from_millis(2_001),
                "o",
                &text.as_bytes()[cut..],
            );
            let out = String::from_utf8(out).unwrap_or_default();
            let mut lines = out.lines();
            let header = Header::parse(lines.next().unwrap_or_default());
            let Ok(header) = header else {
                panic!("{header:?}")
            };
            assert_eq!((header.size.cols, header.runtime.as_str()), (70, "p\"i"));
            let mut reader = header.reader();
            let mut read = String::new();
            let mut time = 0.0;
            for line in lines {
                match reader.read(line) {
                    Ok((t, Event::Output(part))) => (time, read) = (t, read + &part),
                    Ok((_, Event::Other)) => {}
                    other => panic!("{line}: {other:?}"),
                }
            }
            assert_eq!(read, text, "cut at {cut}");
            assert!((time - 2.001).abs() < 1e-9 || cut == text.len(), "{time}");
        }
    }

    #[test]
    fn a_recording_of_ours_is_known_by_its_first_bytes_and_no_other_file_is_taken_for_one() {
        let size = TermSize::clamped(u16::MAX, u16::MAX);
        let ours = header_line(size, &"r".repeat(HEAD), u64::MAX);
        assert!(is_ours(&ours.as_bytes()[..HEAD]), "{ours}");
        for other in [
            "",
            "{",
            "what was there",
            r#"{"version":3,"file":"app.js","sources":[],"mosaic":{}}"#,
            r#"{"version":3,"term":{"cols":80,"rows":24},"timestamp":1,"title":"mine"}"#,
            r#"{"version": 2, "width": 80, "height": 24}"#,
        ] {
            assert!(!is_ours(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_is_no_text_is_replaced_and_holds_nothing_up() {
        let now = Instant::now();
        let mut tape = Tape::new(now);
        let mut out = Vec::new();
        tape.add(&mut out, now, "o", b"a\xff\xc3");
        tape.add(&mut out, now, "o", b"b\x80\x80\x80\x80");
        let out = String::from_utf8(out).unwrap_or_default();
        let replaced = "\u{fffd}";
        assert_eq!(
            out,
            format!(
                "[0.000000,\"o\",\"a{replaced}\"]\n[0.000000,\"o\",\"{replaced}b{0}{0}{0}{0}\"]\n",
                replaced
            )
        );
    }
}

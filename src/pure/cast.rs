//! Recordings in asciicast format, versions 2 and 3, as they come off a disk: any line may be broken.

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
}

//! A recording of the agent's terminal, made by the sidecar: what was printed, resized and marked, and what was
//! typed if that was asked for.
//!
//! Events wait in memory for a second at most and are written in one piece, so that a recording is whole up to that
//! after a crash and no byte of the pane waits for the disk. A file that is full is put aside (`FILE.1` is the
//! newest of those) and the next one begins with what is on the screen, so that each of them plays by itself. A disk
//! that is full ends the recording, never the agent.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use crate::os::files;
use crate::pure::cast::{self, Tape, header_line};
use crate::pure::receipt::unix_ms;
use crate::pure::screen::Screen;
use crate::pure::wire::Recorded;

/// Bytes of a file unless the caller says otherwise.
const MAX: u64 = 16 * 1024 * 1024;

/// So many full files are kept beside the one that is being written.
const KEPT: u32 = 4;

/// How long events may wait.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// More bytes than this do not wait.
const BUFFER: usize = 64 * 1024;

/// A recording that is being made.
pub struct Recording {
    path: PathBuf,
    file: File,
    tape: Tape,
    /// What was typed is recorded too.
    pub input: bool,
    max: u64,
    written: u64,
    buffer: Vec<u8>,
    /// The events in the buffer are written then.
    flush_at: Option<Instant>,
    runtime: String,
}

impl Recording {
    /// Begins one with what is on the screen. A recording that stands in the file is put aside.
    ///
    /// # Errors
    /// The file cannot be made, or something else stands in it: nothing was changed.
    pub fn start(
        path: PathBuf,
        (input, max): (bool, Option<u64>),
        runtime: &str,
        screen: &Screen,
    ) -> io::Result<Recording> {
        let now = Instant::now();
        let mut recording = Recording {
            file: next_file(&path)?,
            path,
            tape: Tape::new(now),
            input,
            max: max.unwrap_or(MAX),
            written: 0,
            buffer: Vec::new(),
            flush_at: None,
            runtime: runtime.to_owned(),
        };
        recording.begin(screen)?;
        Ok(recording)
    }

    /// The beginning of a file: from here on it plays by itself.
    fn begin(&mut self, screen: &Screen) -> io::Result<()> {
        let now = Instant::now();
        let seconds = unix_ms(SystemTime::now()) / 1_000;
        self.tape = Tape::new(now);
        self.buffer = header_line(screen.size(), &self.runtime, seconds).into_bytes();
        let drawing = screen.drawing().unwrap_or_default();
        self.tape.add(&mut self.buffer, now, "o", &drawing);
        self.written = 0;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Adds an event. The screen has taken it already.
    ///
    /// # Errors
    /// The disk is full: the recording is over.
    pub fn add(&mut self, code: &str, bytes: &[u8], screen: &Screen) -> io::Result<()> {
        let now = Instant::now();
        self.tape.add(&mut self.buffer, now, code, bytes);
        self.flush_at.get_or_insert(now + FLUSH_WITHIN);
        if self.buffer.len() > BUFFER {
            self.flush(screen)?;
        }
        Ok(())
    }

    /// When the events that wait must be written.
    pub fn deadline(&self) -> Option<Instant> {
        self.flush_at
    }

    /// Writes what waits, and goes on in the next file if this one is full.
    ///
    /// # Errors
    /// As [`Recording::add`].
    pub fn flush(&mut self, screen: &Screen) -> io::Result<()> {
        self.flush_at = None;
        self.write()?;
        if self.written + BUFFER as u64 > self.max {
            self.file = next_file(&self.path)?;
            self.begin(screen)?;
        }
        Ok(())
    }

    /// The options of `run` with which the next binary goes on.
    pub fn options(&self) -> Vec<OsString> {
        let mut file = OsString::from("--record=");
        file.push(&self.path);
        let mut options = vec![file, format!("--record-max={}", self.max).into()];
        if self.input {
            options.push("--record-input".into());
        }
        options
    }

    /// For `status`.
    pub fn state(&self) -> Recorded {
        Recorded {
            file: self.path.display().to_string(),
            bytes: self.written,
            input: self.input,
        }
    }
}

/// Puts the files of this name aside and makes a new one. The oldest goes, so all of them must be recordings of ours, or
/// empty: what else has one of these names is somebody's.
fn next_file(path: &Path) -> io::Result<File> {
    let numbered = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        if n > 0 {
            name.push(format!(".{n}"));
        }
        name
    };
    for n in 0..=KEPT {
        let name = numbered(n);
        let refused = match files::head(name.as_ref(), cast::HEAD) {
            Ok(head) if head.is_empty() || cast::is_ours(&head) => continue,
            Ok(_) => "it holds something else than a recording of ours".to_owned(),
            Err(e) => e.to_string(),
        };
        return Err(io::Error::other(format!(
            "{} is left as it is: {refused}. Name another file, or move it away",
            Path::new(&name).display()
        )));
    }
    for n in (0..KEPT).rev() {
        // One that is not there yet is no failure, and one that cannot be moved is found by what follows.
        let _ = files::rename(&numbered(n), &numbered(n + 1));
    }
    files::make_private(path)
}

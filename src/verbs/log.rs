//! Where our own events go: never onto the pane, where they would be drawn over the runtime's screen.
//!
//! `MOSAIC_LOG` sets the level (`error`, `warn` (default), `info`, `debug`, `trace`). Ids, sizes and errors
//! are logged, never message texts or screens.

use std::fmt::{Debug, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nix::libc;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::pure::beat::stamp;

/// A log larger than this starts anew: a week of warnings fits many times.
const LOG_MAX: u64 = 512 * 1024;

/// Events go to standard error.
pub fn to_stderr() {
    install(None);
}

/// Events go to a file beside the heartbeat, or to standard error where that is no terminal (journal).
pub fn to_file(path: &Path) {
    if !io::stderr().is_terminal() {
        to_stderr();
        return;
    }
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path);
    if let Ok(file) = opened {
        install(Some(file));
    }
}

fn install(file: Option<File>) {
    let level = std::env::var("MOSAIC_LOG")
        .ok()
        .and_then(|l| l.parse().ok())
        .unwrap_or(LevelFilter::WARN);
    let log = Log {
        level,
        file: file.map(Mutex::new),
    };
    // Set once per process; a second call would come from a second verb, and there is none.
    let _ = tracing::subscriber::set_global_default(log);
}

/// Prints events, a line each. Spans are not used and not kept.
struct Log {
    level: LevelFilter,
    file: Option<Mutex<File>>,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!(
            "{} {} ",
            stamp(SystemTime::now()),
            event.metadata().level()
        ));
        event.record(&mut line);
        line.0.push('\n');
        let written = match &self.file {
            None => io::stderr().write_all(line.0.as_bytes()),
            Some(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                if file.metadata().is_ok_and(|m| m.len() > LOG_MAX) {
                    let _ = file.set_len(0);
                }
                file.write_all(line.0.as_bytes())
            }
        };
        // A log that cannot be written has nobody left to be told.
        drop(written);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The fields of an event on one line, control characters escaped.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() != "message" {
            let _ = write!(self.0, " {}=", field.name());
        }
        for c in format!("{value:?}").chars() {
            if c.is_control() {
                self.0.extend(c.escape_default());
            } else {
                self.0.push(c);
            }
        }
    }
}

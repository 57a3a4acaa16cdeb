//! Where our own events go: never onto the pane, where they would be drawn over the runtime's screen.
//!
//! `MOSAIC_LOG` sets the level (`error`, `warn` (default), `info`, `debug`, `trace`). Ids, sizes and errors are
//! logged, never message texts or screens.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use nix::libc;
use tracing::level_filters::LevelFilter;

/// A log larger than this starts anew: a week of warnings fits many times.
const LOG_MAX: u64 = 512 * 1024;

fn level() -> LevelFilter {
    std::env::var("MOSAIC_LOG")
        .ok()
        .and_then(|l| l.parse().ok())
        .unwrap_or(LevelFilter::WARN)
}

/// Events go to standard error.
pub fn to_stderr() {
    let _ = tracing_subscriber::fmt()
        .with_max_level(level())
        .with_writer(io::stderr)
        .with_ansi(false)
        .try_init();
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
        let _ = tracing_subscriber::fmt()
            .with_max_level(level())
            .with_writer(Mutex::new(Bounded(file)))
            .with_ansi(false)
            .try_init();
    }
}

/// A file that starts anew when it has grown too large.
struct Bounded(File);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.metadata()?.len() > LOG_MAX {
            self.0.set_len(0)?;
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

//! From `launch` to the `run` it starts in a pane, and back.
//!
//! A tmux server gives its panes the environment of whoever started the server, maybe weeks ago. So
//! `launch` listens on a private socket and names it on `run`'s command line; `run` fetches the
//! launcher's environment there (nothing of it ever stands in a file or an argument) and reports back
//! when it is ready, or what went wrong.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::os::socket;

/// Variables that belong to the pane, not to the launcher, or only to the launcher's own process.
const NOT_HANDED_ON: [&str; 22] = [
    "TERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TERMINFO",
    "TMUX",
    "TMUX_PANE",
    "COLORTERM",
    "COLUMNS",
    "LINES",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "SYSTEMD_EXEC_PID",
    "MANAGERPID",
];

/// What a launcher without them (`env -i`) cannot take away: nothing works well without.
const NEEDED: [&str; 5] = ["HOME", "USER", "LOGNAME", "SHELL", "LANG"];

/// Whether a variable of the pane stays when the launcher's environment takes its place.
pub fn belongs_to_pane(key: &OsStr) -> bool {
    NOT_HANDED_ON
        .iter()
        .chain(&NEEDED)
        .any(|name| OsStr::new(name) == key)
}

/// The largest environment accepted; the kernel's own limit for arguments and environment is 2 MiB.
const ENVIRONMENT_MAX: u64 = 4 * 1024 * 1024;

/// What `run` reports to `launch`, one JSON line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The sidecar answers and its runtime is up.
    Ready {
        /// The sidecar's pid.
        sidecar: u32,
        /// The runtime's pid.
        pid: i32,
    },
    /// It will not come up.
    Failed {
        /// The exit code.
        exit: u8,
        /// What happened, for a person.
        message: String,
    },
}

/// `launch`'s side: sends the environment over an accepted connection.
///
/// # Errors
/// The other end is gone.
pub fn give_environment(stream: &mut UnixStream) -> io::Result<()> {
    let mut block = Vec::new();
    for (key, value) in std::env::vars_os() {
        if NOT_HANDED_ON.iter().any(|name| OsStr::new(name) == key) {
            continue;
        }
        block.extend_from_slice(key.as_bytes());
        block.push(b'=');
        block.extend_from_slice(value.as_bytes());
        block.push(0);
    }
    stream.write_all(&(block.len() as u64).to_le_bytes())?;
    stream.write_all(&block)
}

/// `run`'s side: fetches the launcher's environment. The stream stays open for the [`Report`].
///
/// # Errors
/// Nobody answers there, or somebody who is not us.
pub fn fetch(path: &Path) -> io::Result<(UnixStream, Vec<(OsString, OsString)>)> {
    let mut stream = UnixStream::connect(path)?;
    if !socket::is_us(socket::peer(&stream)?) {
        return Err(io::Error::other("the launcher is another user"));
    }
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut length = [0; 8];
    stream.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > ENVIRONMENT_MAX {
        return Err(io::Error::other("the environment is too large"));
    }
    let mut block = Vec::new();
    (&mut stream).take(length).read_to_end(&mut block)?;
    let vars = block
        .split(|b| *b == 0)
        .filter_map(|entry| {
            let at = entry.iter().position(|b| *b == b'=').filter(|at| *at > 0)?;
            Some((
                OsString::from_vec(entry[..at].to_vec()),
                OsString::from_vec(entry[at + 1..].to_vec()),
            ))
        })
        .collect();
    Ok((stream, vars))
}

/// Reports to the launcher, if there is one; a launcher that has given up does not matter.
pub fn report(stream: Option<UnixStream>, report: &Report) {
    if let Some(mut stream) = stream {
        let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
        let _ = stream.write_all(&crate::pure::wire::line(report));
    }
}

//! The tmux commands we use, one function each. tmux is called, not linked.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::within;

/// One tmux server, by its socket name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmux {
    /// The `tmux` binary.
    pub binary: PathBuf,
    /// The socket's name as for `tmux -L`; empty for tmux's default socket.
    pub socket: String,
}

/// One pane, as `list-panes` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pane {
    /// The session's name.
    pub session: String,
    /// The pane's process.
    pub pid: i32,
    /// Whether that process has ended and the pane was kept.
    pub dead: bool,
    /// The name of the program in front.
    pub command: String,
}

/// Between the fields of a format: cannot stand in a session name.
const SEPARATOR: char = '\u{1f}';

impl Tmux {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        if !self.socket.is_empty() {
            command.arg("-L").arg(&self.socket);
        }
        // The socket is chosen by us, not by the tmux we may be called from.
        command.env_remove("TMUX").stdin(Stdio::null());
        command
    }

    fn ask(&self, args: &[&str]) -> io::Result<Output> {
        self.command().args(args).output()
    }

    /// Whether there is a session of exactly this name.
    ///
    /// # Errors
    /// tmux cannot be started.
    pub fn has_session(&self, name: &str) -> io::Result<bool> {
        Ok(self
            .ask(&["has-session", "-t", &format!("={name}")])?
            .status
            .success())
    }

    /// The server's pid, if one runs.
    ///
    /// # Errors
    /// tmux cannot be started.
    pub fn server(&self) -> io::Result<Option<i32>> {
        let output = self.ask(&["list-sessions", "-F", "#{pid}"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().and_then(|pid| pid.parse().ok()))
    }

    /// Makes a detached session that runs `argv` in `dir`, and returns the pane's pid.
    ///
    /// # Errors
    /// What tmux printed.
    pub fn new_session(
        &self,
        name: &str,
        dir: &std::path::Path,
        argv: &[OsString],
    ) -> io::Result<i32> {
        let output = self
            .command()
            .args(["new-session", "-d", "-P", "-F", "#{pane_pid}", "-s", name])
            .args(["-x", "120", "-y", "40", "-c"])
            .arg(dir)
            .arg("--")
            .args(argv)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if !output.status.success() {
            return Err(io::Error::other(said));
        }
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .map_err(|_| io::Error::other("tmux did not tell the pane's pid"))
    }

    /// Ends a session and everything in it; one that is gone is no error.
    ///
    /// # Errors
    /// tmux cannot be started.
    pub fn kill_session(&self, name: &str) -> io::Result<()> {
        self.ask(&["kill-session", "-t", &format!("={name}")])?;
        Ok(())
    }

    /// Every pane of the server; empty if no server runs.
    ///
    /// # Errors
    /// tmux cannot be started.
    pub fn panes(&self) -> io::Result<Vec<Pane>> {
        let output = self.ask(&["list-panes", "-a", "-F", &pane_format()])?;
        Ok(panes_of(&output.stdout))
    }

    /// The same, from a server that may hang.
    ///
    /// # Errors
    /// tmux cannot be started, or its server does not answer within the time.
    pub fn panes_within(&self, within: Duration) -> io::Result<Vec<Pane>> {
        let mut command = self.command();
        command.args(["list-panes", "-a", "-F", &pane_format()]);
        Ok(panes_of(&within::output(&mut command, within)?.stdout))
    }
}

fn pane_format() -> String {
    let fields = [
        "#{session_name}",
        "#{pane_pid}",
        "#{pane_dead}",
        "#{pane_current_command}",
    ];
    fields.join(&SEPARATOR.to_string())
}

fn panes_of(printed: &[u8]) -> Vec<Pane> {
    let text = String::from_utf8_lossy(printed);
    text.lines()
        .filter_map(|line| {
            // tmux may print the separator as it is or escaped, by version.
            let line = line.replace("\\037", &SEPARATOR.to_string());
            let mut parts = line.split(SEPARATOR).map(str::to_owned);
            Some(Pane {
                session: parts.next()?,
                pid: parts.next()?.parse().ok()?,
                dead: parts.next()? == "1",
                command: parts.next()?,
            })
        })
        .collect()
}

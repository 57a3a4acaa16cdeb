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

/// One client, as `list-clients` tells: a terminal in which a session is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// The session that it shows.
    pub session: String,
    /// The `tmux` in that terminal.
    pub pid: i32,
    /// It was attached to look on only (`attach -r`).
    pub readonly: bool,
}

/// Where a pane is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// tmux's name for the pane, `%N`.
    pub id: String,
    /// The session's name.
    pub session: String,
}

/// Between the fields of a format: cannot stand in a session name. Without `-u` tmux prints `_` instead of it, and of
/// every character that is not ASCII, where the environment names no UTF-8 locale: under systemd, cron, `env -i`.
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
        let output = self.ask(&["-u", "list-panes", "-a", "-F", &pane_format()])?;
        Ok(panes_of(&output.stdout))
    }

    /// The same, and every client, from a server that may hang.
    ///
    /// # Errors
    /// tmux cannot be started, or its server does not answer within the time.
    pub fn all_within(&self, within: Duration) -> io::Result<(Vec<Pane>, Vec<Client>)> {
        let mut command = self.command();
        command.args(["-u", "list-panes", "-a", "-F", &pane_format()]);
        command.args([";", "list-clients", "-F", &client_format()]);
        let printed = within::output(&mut command, within)?.stdout;
        Ok((panes_of(&printed), clients_of(&printed)))
    }

    /// How this server is named on the command line: nothing, or ` -L NAME`.
    pub fn option(&self) -> String {
        match self.socket.as_str() {
            "" => String::new(),
            socket => format!(" -L {socket}"),
        }
    }

    /// The first pane whose process satisfies `is_it`.
    ///
    /// # Errors
    /// tmux cannot be started.
    pub fn pane_of(&self, is_it: impl Fn(i32) -> bool) -> io::Result<Option<Place>> {
        let output = self.ask(&[
            "list-panes",
            "-a",
            "-F",
            "#{pane_id} #{pane_pid} #{session_name}",
        ])?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().find_map(|line| {
            let mut parts = line.splitn(3, ' ');
            let (id, pid) = (parts.next()?, parts.next()?.parse().ok()?);
            let session = parts.next()?.to_owned();
            let id = id.to_owned();
            is_it(pid).then_some(Place { id, session })
        }))
    }

    /// The pids of the clients that are attached to a session and may type into it.
    ///
    /// # Errors
    /// tmux cannot be started.
    pub fn clients(&self, session: &str) -> io::Result<Vec<i32>> {
        let format = "#{client_pid} #{client_readonly}";
        let output = self.ask(&["list-clients", "-t", &format!("={session}"), "-F", format])?;
        let text = String::from_utf8_lossy(&output.stdout);
        let pid = |line: &str| line.strip_suffix(" 0")?.parse().ok();
        Ok(text.lines().filter_map(pid).collect())
    }

    /// Sends away every client of a session.
    ///
    /// # Errors
    /// tmux cannot be started.
    pub fn detach_all(&self, session: &str) -> io::Result<()> {
        self.ask(&["detach-client", "-s", &format!("={session}")])?;
        Ok(())
    }

    /// Has the client that we run in show this pane.
    ///
    /// # Errors
    /// What tmux printed.
    pub fn switch_here(&self, pane: &str) -> io::Result<()> {
        let mut command = self.command();
        // Which client that is, tmux finds out by the pane we are in.
        command.envs(std::env::var_os("TMUX").map(|value| ("TMUX", value)));
        let output = command.args(["switch-client", "-t", pane]).output()?;
        match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            )),
        }
    }

    /// The session of the pane that we run in, by what tmux gives its panes; none outside tmux, whatever server it
    /// is, or if that does not answer within the time.
    pub fn session_here(&self, within: Duration) -> Option<String> {
        let (server, pane) = (std::env::var_os("TMUX")?, std::env::var_os("TMUX_PANE")?);
        let mut command = Command::new(&self.binary);
        // Without -L, the client takes the server that `TMUX` names.
        command
            .env("TMUX", server)
            .args(["-u", "display-message", "-p", "-t"]);
        command.arg(pane).arg("#{session_name}");
        let printed = within::output(&mut command, within).ok()?;
        let name = String::from_utf8(printed.stdout).ok()?;
        let name = name.trim_end_matches('\n');
        (printed.status.success() && !name.is_empty()).then(|| name.to_owned())
    }

    /// What attaches this terminal to a pane.
    pub fn attach_command(&self, pane: &str) -> Command {
        let mut command = self.command();
        command.args(["attach-session", "-t", pane]);
        command.stdin(Stdio::inherit());
        command
    }
}

/// What the lines of panes, and of clients, begin with.
const PANE: &str = "pane";
const CLIENT: &str = "client";

fn pane_format() -> String {
    let fields = [
        PANE,
        "#{session_name}",
        "#{pane_pid}",
        "#{pane_dead}",
        "#{pane_current_command}",
    ];
    fields.join(&SEPARATOR.to_string())
}

fn client_format() -> String {
    let fields = [
        CLIENT,
        "#{client_session}",
        "#{client_pid}",
        "#{client_readonly}",
    ];
    fields.join(&SEPARATOR.to_string())
}

/// The fields of every line of a kind.
fn lines_of(printed: &[u8], kind: &str) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(printed);
    text.lines()
        .filter_map(|line| {
            // tmux may print the separator as it is or escaped, by version.
            let line = line.replace("\\037", &SEPARATOR.to_string());
            let mut parts = line.split(SEPARATOR).map(str::to_owned);
            (parts.next()? == kind).then(|| parts.collect())
        })
        .collect()
}

fn panes_of(printed: &[u8]) -> Vec<Pane> {
    let lines = lines_of(printed, PANE).into_iter();
    lines
        .filter_map(|parts| {
            let mut parts = parts.into_iter();
            Some(Pane {
                session: parts.next()?,
                pid: parts.next()?.parse().ok()?,
                dead: parts.next()? == "1",
                command: parts.next()?,
            })
        })
        .collect()
}

fn clients_of(printed: &[u8]) -> Vec<Client> {
    let lines = lines_of(printed, CLIENT).into_iter();
    lines
        .filter_map(|parts| {
            let mut parts = parts.into_iter();
            Some(Client {
                session: parts.next()?,
                pid: parts.next()?.parse().ok()?,
                readonly: parts.next()? == "1",
            })
        })
        .collect()
}

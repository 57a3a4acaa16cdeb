//! `send -L`, `send -H` and `verify -H`, performed by `mosaic-fleet`: to an agent on one tmux socket and no other,
//! and to one on another host.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::place::Place;
use super::send::{self, ANSWERS_WITHIN, OPEN_LASTS, PROCEDURE};
use crate::cli::send::{SendOptions, VerifyOptions};
use crate::failure::{Failure, exit};
use crate::os::{child, files};
use crate::pure::beat::{Found, READ_MAX};
use crate::pure::orders::TIMEOUT;
use crate::pure::receipt::{Receipt, Verdict, unix_ms};
use crate::pure::remote::{self, End, MARK};
use crate::units::AgentName;

/// The network and a login on the way to the other side and back, on top of what the message itself may take.
const TRAVEL: Duration = Duration::from_secs(60);

/// How long ssh tries to connect, in seconds.
const CONNECT: &str = "ConnectTimeout=15";

/// Longest line that is read from the other side; a receipt has 1 KiB.
const LINE_MAX: u64 = 64 * 1024;

/// Sends a message where it was said to go.
///
/// # Errors
/// The message was not handed over: what is in the way, and what to do.
pub fn send(options: &SendOptions, json: bool, quiet: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    if let Some(host) = &options.host {
        return to_host(&place, host, options, json, quiet);
    }
    if let Some(why) = options
        .tmux
        .as_deref()
        .and_then(|socket| not_there(&place, socket, options))
    {
        let id = options.id.as_deref().unwrap_or("");
        let receipt = Receipt::bare(id, Verdict::Gone, why, SystemTime::now());
        return Ok(send::show(&place, &options.name, receipt, json, quiet));
    }
    send::send(options, json, quiet)
}

/// Why the agent of this name is not the one meant: its heartbeat names another tmux socket. Without a
/// heartbeat the sending itself finds out that nobody is there.
fn not_there(place: &Place, socket: &str, options: &SendOptions) -> Option<String> {
    let name = &options.name;
    let bytes = files::read_small(&place.heartbeat(name), READ_MAX).ok()?;
    let beat = Found::parse(&bytes);
    let wanted = if socket == "default" { "" } else { socket };
    let shown = |socket: &str| match socket {
        "" => "tmux's default socket".to_owned(),
        name => format!("the tmux socket {name:?}"),
    };
    match beat.raw("tmux") {
        Some(found) if found == wanted => None,
        Some(found) => Some(format!(
            "no agent {name} on {}; the one of that name is on {}",
            shown(wanted),
            shown(found)
        )),
        None => Some(format!(
            "no agent {name} on {}; the one of that name is in no tmux",
            shown(wanted)
        )),
    }
}

fn to_host(
    place: &Place,
    host: &str,
    options: &SendOptions,
    json: bool,
    quiet: bool,
) -> Result<u8, Failure> {
    // Ours, and always one: whatever happens on the way, the same message can be asked for, and given again.
    let id = options.id.clone().unwrap_or_else(|| new_id(place));
    let there = There::new(host, words(place, options, &id))?;
    let receipt = |verdict, why| there.receipt(&options.name, &id, (verdict, why), json, quiet);
    let text = match send::read_body(&options.body)? {
        Ok(text) => text,
        Err(why) => return receipt(Verdict::Rejected, why),
    };
    let patience = options.timeout.unwrap_or(TIMEOUT) + PROCEDURE + TRAVEL;
    let said = there.run(text, patience)?;
    let doing = format!("sending to {} on {host}", options.name);
    match said.end() {
        End::Answered(code) => Ok(said.pass_on(code, json, quiet)),
        End::NotSent => Err(Failure::new(
            exit::LATER,
            doing,
            format!("{}; nothing was typed", said.why_not()),
        )
        .hint(format!(
            "mend it until this works without a question, then send again: ssh {host} true"
        ))),
        End::NoAgent => Err(there.no_agent(doing, "; nothing was typed")),
        End::Lost => {
            let why = format!(
                "the connection to {host} ended before the receipt came; ask: mosaic-agent verify -H {host} {} \
                 --id {id}, or send it again with --id {id}: the same id is never typed twice",
                options.name
            );
            receipt(Verdict::Unknown, why)
        }
    }
}

/// Asks for the verdict of a message where it was said to be.
///
/// # Errors
/// The question makes no sense, or cannot be asked: what to do.
pub fn verify(options: &VerifyOptions, json: bool, quiet: bool) -> Result<u8, Failure> {
    let Some(host) = &options.host else {
        return send::verify(options, json, quiet);
    };
    let mut words = vec!["verify".to_owned(), "--json".into()];
    for (name, value) in [
        ("--id", options.id.as_ref()),
        ("--since", options.since.as_ref().map(|since| &since.word)),
    ] {
        words.extend(value.into_iter().flat_map(|v| [name.to_owned(), v.clone()]));
    }
    words.extend(["--".into(), options.name.to_string()]);
    words.extend(options.contains.as_ref().map(|_| "-".to_owned()));
    let there = There::new(host, words)?;
    let part = send::read_part(options)?.unwrap_or_default();
    let said = there.run(part, OPEN_LASTS + ANSWERS_WITHIN + TRAVEL)?;
    // No 75 as for `send`: that would say that the message was not typed.
    let why = match said.end() {
        End::Answered(code) => return Ok(said.pass_on(code, json, quiet)),
        End::NoAgent => {
            let doing = format!("asking for a message to {} on {host}", options.name);
            return Err(there.no_agent(doing, "; nobody was asked"));
        }
        End::NotSent => format!(
            "{}, so nobody was asked; mend it until this works without a question, then ask again: ssh {host} true",
            said.why_not()
        ),
        End::Lost => format!("the connection to {host} ended before the answer came; ask again"),
    };
    let id = options.id.as_deref().unwrap_or_default();
    there.receipt(&options.name, id, (Verdict::Unknown, why), json, quiet)
}

/// Another host, and what is to be run there.
struct There<'a> {
    host: &'a str,
    agent: String,
    words: Vec<String>,
}

impl<'a> There<'a> {
    /// `mosaic-agent` there, with these words.
    fn new(host: &'a str, words: Vec<String>) -> Result<There<'a>, Failure> {
        let usage = |said: String| Failure::new(exit::USAGE, "", said);
        remote::check_host(host).map_err(usage)?;
        let agent = std::env::var("MOSAIC_REMOTE_AGENT")
            .ok()
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| "mosaic-agent".into());
        for word in words.iter().chain([&agent]) {
            remote::check_word(word).map_err(usage)?;
        }
        Ok(There { host, agent, words })
    }

    fn run(&self, text: String, patience: Duration) -> Result<Said, Failure> {
        let line = remote::command_line(&self.agent, &self.words);
        Ok(Ssh::start(self.host, &line)?.run(text, patience))
    }

    /// Prints what we say ourselves of a message to an agent there.
    fn receipt(
        &self,
        name: &AgentName,
        id: &str,
        (verdict, why): (Verdict, String),
        json: bool,
        quiet: bool,
    ) -> Result<u8, Failure> {
        let mut place = Place::here()?;
        let host = self.host.rsplit('@').next().unwrap_or(self.host);
        place.host = host.to_owned();
        let receipt = Receipt::bare(id, verdict, why, SystemTime::now());
        Ok(send::show(&place, name, receipt, json, quiet))
    }

    fn no_agent(&self, doing: String, so: &str) -> Failure {
        let said = format!("there is no {} that runs there{so}", self.agent);
        Failure::new(exit::MISSING, doing, said)
            .hint("install it there on the PATH of `ssh HOST command`, or name its path in MOSAIC_REMOTE_AGENT")
    }
}

/// An id that no other sender on any host uses.
fn new_id(place: &Place) -> String {
    let host = place.host.chars().filter(|c| c.is_ascii_graphic()).take(64);
    let host: String = host.collect();
    let now = unix_ms(SystemTime::now());
    format!("{host}-{:x}-{now:x}", std::process::id())
}

/// The words of `send` on the other side.
fn words(place: &Place, options: &SendOptions, id: &str) -> Vec<String> {
    let mut words = vec!["send".to_owned(), "--json".into()];
    let mut option = |name: &str, value: Option<String>| {
        words.extend(
            value
                .map(|value| [name.to_owned(), value])
                .into_iter()
                .flatten(),
        );
    };
    option("--id", Some(id.to_owned()));
    let from = || send::sender(place, options.from.as_deref());
    option("--from", (!options.bare).then(from));
    let seconds = |t: Duration| format!("{}.{:03}", t.as_secs(), t.subsec_millis());
    option("--timeout", options.timeout.map(seconds));
    let busy = options.when_busy.as_ref().map(|how| format!("busy={how}"));
    option("--when", busy);
    let draft = options
        .when_draft
        .as_ref()
        .map(|how| format!("draft={how}"));
    option("--when", draft);
    option("-L", options.tmux.clone());
    for (flag, is_on) in [
        ("--verify", options.verify),
        ("--no-preamble", options.bare),
    ] {
        words.extend(is_on.then(|| flag.to_owned()));
    }
    words.extend(["--".into(), options.name.to_string(), "-".into()]);
    words
}

/// A running ssh.
struct Ssh {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

/// What came of it.
struct Said {
    /// Its exit code; none if it was killed.
    code: Option<i32>,
    /// The other side was there.
    marked: bool,
    /// The receipt, if one came, and the line it came in.
    receipt: Option<(String, Receipt)>,
}

impl Said {
    /// What its end means.
    fn end(&self) -> End {
        let verdict = self.receipt.as_ref().map(|(_, receipt)| receipt.verdict);
        remote::end(self.code, self.marked, verdict)
    }

    /// Prints what the other side has answered.
    fn pass_on(self, code: u8, json: bool, quiet: bool) -> u8 {
        match self.receipt {
            // As it came: tenant and host in it are the other side's.
            Some((line, _)) if json => super::print(&line),
            Some((_, receipt)) if !quiet => {
                super::print(&format!("{}\n", send::words(&receipt)));
            }
            _ => {}
        }
        code
    }

    /// Why the other side was never there.
    fn why_not(&self) -> String {
        match self.code {
            Some(remote::SSH_FAILED) => "ssh could not connect or log in".to_owned(),
            Some(code) => format!("ssh ended with {code} before the other side said a word"),
            None => "the other side said nothing in time".to_owned(),
        }
    }
}

impl Ssh {
    fn start(host: &str, line: &str) -> Result<Ssh, Failure> {
        let mut command = Command::new("ssh");
        // No terminal, no agent, no X11, no forwardings, whatever the user's configuration says.
        command.args([
            "-T",
            "-a",
            "-x",
            "-o",
            CONNECT,
            "-o",
            "ClearAllForwardings=yes",
        ]);
        command.args(["-o", "RemoteCommand=none"]);
        // A connection that died without a word is noticed after 45 s.
        command.args([
            "-o",
            "ServerAliveInterval=15",
            "-o",
            "ServerAliveCountMax=3",
        ]);
        if !std::io::stderr().is_terminal() {
            // Nobody is there to answer. The terminal that ssh would ask on may be an agent's.
            command.args(["-o", "BatchMode=yes"]);
        }
        command.args(["--", host, line]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let failed = |e: std::io::Error| {
            Failure::new(exit::MISSING, "starting ssh", e)
                .hint("install it (Debian: openssh-client), or do this on the agent's own host")
        };
        let mut child = child::spawn_tied(&mut command).map_err(failed)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        let (sender, lines) = mpsc::sync_channel(16);
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            loop {
                let read = reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
                let text = String::from_utf8_lossy(&line).into_owned();
                if !read.is_ok_and(|n| n > 0) || sender.send(text).is_err() {
                    break;
                }
                line.clear();
            }
        });
        Ok(Ssh {
            child,
            stdin,
            lines,
        })
    }

    /// Hands the message over when the other side is there, and waits for its end.
    fn run(self, text: String, patience: Duration) -> Said {
        let Ssh {
            mut child,
            stdin,
            lines,
        } = self;
        let deadline = Instant::now() + patience;
        let next = || {
            let left = deadline.saturating_duration_since(Instant::now());
            lines.recv_timeout(left)
        };
        let mut marked = false;
        let mut receipt = None;
        let mut message = Some((stdin, text));
        let ended = loop {
            match next() {
                Ok(line) if marked => {
                    let read = serde_json::from_str(&line).ok();
                    receipt = read.map(|read| (line, read)).or(receipt);
                }
                Ok(line) => marked = line.trim_end() == MARK,
                Err(why) => break why,
            }
            if let Some((mut stdin, text)) = message.take_if(|_| marked) {
                // On a thread of its own: a slow line must not keep us from giving up. What is wrong with a
                // pipe that does not take the message, ssh's end says.
                thread::spawn(move || stdin.write_all(text.as_bytes()));
            }
        };
        drop(message);
        if ended == RecvTimeoutError::Timeout {
            let _ = child.kill();
        }
        Said {
            code: child.wait().ok().and_then(|status| status.code()),
            marked,
            receipt,
        }
    }
}

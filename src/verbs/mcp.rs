//! `mosaic-fleet mcp`: our verbs as tools of a runtime, over standard input and output.
//!
//! Every call is a verb of ours in a process of its own, so they run beside each other, and one that is not
//! wanted any more is ended: the sidecar sees its connection close and withdraws a message not typed yet.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::beside;
use crate::failure::{Doing, Failure, exit};
use crate::os::{child, process};
use crate::pure::mcp::{self, Call, Incoming, Outcome};
use crate::pure::wire::LINE_MAX;

/// Calls that may run at once. A model asks for a handful.
const CALLS_MAX: usize = 64;

/// How long calls may still run when the client has closed our input; longer than anything but a message that
/// waits, shorter than clients wait before they kill (2 s).
const GRACE: Duration = Duration::from_secs(1);

/// Longest answer of a verb that is read.
const OUTPUT_MAX: u64 = 8 * 1024 * 1024;

/// Serves until the client closes our input.
///
/// # Errors
/// `mosaic-agent` is missing.
pub fn serve() -> Result<u8, Failure> {
    let server = Arc::new(Server {
        environment: missing_variables(),
        running: Mutex::default(),
        ended: Condvar::new(),
    });
    beside::find("mosaic-agent")?;
    let mut input = BufReader::new(io::stdin());
    let mut line = Vec::new();
    while read_line(&mut input, &mut line).doing(|| "reading requests".into())? {
        match serde_json::from_slice(&line) {
            _ if line.trim_ascii().is_empty() => {}
            Ok(Value::Array(batch)) if !batch.is_empty() => {
                let replies = Arc::new(Replies::of(batch.len()));
                for message in batch {
                    server.take(&message, &replies);
                }
            }
            Ok(message) => server.take(&message, &Arc::new(Replies::One)),
            Err(e) => {
                let said = format!("no JSON: {e}");
                say(&mcp::error(&Value::Null, mcp::code::PARSE, &said));
            }
        }
    }
    server.finish();
    Ok(exit::OK)
}

/// Reads a line; false at the end. Of one that is too long only the beginning is kept, which is no JSON.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    let mut read = input.by_ref().take(limit).read_until(b'\n', line)?;
    let mut rest = Vec::new();
    while read > 0 && line.last() != Some(&b'\n') && rest.last() != Some(&b'\n') {
        rest.clear();
        read = input.by_ref().take(limit).read_until(b'\n', &mut rest)?;
    }
    Ok(!line.is_empty())
}

/// One line to the client. One that has gone away needs none.
fn say(message: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}

/// Where answers go: each at once, or those of a batch together.
enum Replies {
    One,
    Batch(Mutex<(usize, Vec<Value>)>),
}

impl Replies {
    fn of(batch: usize) -> Replies {
        Replies::Batch(Mutex::new((batch, Vec::new())))
    }

    /// A message has been dealt with; notifications have no answer.
    fn done(&self, answer: Option<Value>) {
        match self {
            Replies::One => {
                if let Some(answer) = answer {
                    say(&answer);
                }
            }
            Replies::Batch(batch) => {
                let (left, answers) = &mut *lock(batch);
                *left -= 1;
                answers.extend(answer);
                if *left == 0 && !answers.is_empty() {
                    say(&Value::Array(std::mem::take(answers)));
                }
            }
        }
    }
}

/// A call that runs.
#[derive(Default)]
struct Running {
    cancelled: bool,
    child: Option<Child>,
}

struct Server {
    /// What the verbs need to know and was not given to us.
    environment: Vec<(OsString, OsString)>,
    /// By the request's id, as JSON.
    running: Mutex<HashMap<String, Arc<Mutex<Running>>>>,
    /// One of them has ended.
    ended: Condvar,
}

/// A panic of one call leaves the others what they need.
fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    fn take(self: &Arc<Server>, message: &Value, replies: &Arc<Replies>) {
        match mcp::read(message) {
            Incoming::Answer(answer) => replies.done(Some(answer)),
            Incoming::Nothing => replies.done(None),
            Incoming::Cancel(id) => {
                if let Some(running) = lock(&self.running).get(&id.to_string()) {
                    let mut running = lock(running);
                    running.cancelled = true;
                    if let Some(child) = &mut running.child {
                        // It fails only if it has ended.
                        let _ = child.kill();
                    }
                }
                replies.done(None);
            }
            Incoming::Call { id, call } => self.start(id, call, replies),
        }
    }

    fn start(self: &Arc<Server>, id: Value, call: Call, replies: &Arc<Replies>) {
        let key = id.to_string();
        let running = Arc::new(Mutex::new(Running::default()));
        let refusal = {
            let mut all = lock(&self.running);
            if all.len() >= CALLS_MAX {
                Some("too many calls at once")
            } else if all.contains_key(&key) {
                Some("a call with this id is running")
            } else {
                all.insert(key.clone(), Arc::clone(&running));
                None
            }
        };
        if let Some(why) = refusal {
            let said = mcp::error(&id, mcp::code::INVALID_REQUEST, why);
            return replies.done(Some(said));
        }
        let (server, replies) = (Arc::clone(self), Arc::clone(replies));
        thread::spawn(move || {
            let result = match server.perform(&call, &running) {
                Ok(outcome) => mcp::result(&outcome, call.shown),
                Err(failure) => mcp::refused(&failure.to_string()),
            };
            let wanted = !lock(&running).cancelled;
            replies.done(wanted.then(|| mcp::answer(&id, result)));
            lock(&server.running).remove(&key);
            server.ended.notify_all();
        });
    }

    /// Runs a verb to its end. On the thread that starts it: the kernel ends it with that thread.
    fn perform(&self, call: &Call, running: &Mutex<Running>) -> Result<Outcome, Failure> {
        let doing = || format!("running {}", call.binary);
        let mut command = Command::new(beside::find(call.binary)?);
        command
            .args(&call.words)
            .envs(self.environment.iter().cloned());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let pipes = {
            let mut running = lock(running);
            if running.cancelled {
                return Ok(Outcome::default());
            }
            let mut child = child::spawn_tied(&mut command).doing(doing)?;
            let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            running.child = Some(child);
            pipes
        };
        if let Some(mut stdin) = pipes.0 {
            // A verb that does not read it says why.
            let _ = stdin.write_all(call.input.as_bytes());
        }
        let stdout = read_all(pipes.1);
        let stderr = read_all(pipes.2);
        let child = lock(running).child.take();
        let ended = child.map(|mut child| child.wait());
        Ok(Outcome {
            code: ended.transpose().doing(doing)?.and_then(|s| s.code()),
            stdout,
            stderr,
        })
    }

    /// The client has gone: what does not end soon is ended with us.
    fn finish(&self) {
        let deadline = Instant::now() + GRACE;
        let mut running = lock(&self.running);
        while !running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.ended.wait_timeout(running, left);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn read_all(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read so far is all there is.
        let _ = pipe.take(OUTPUT_MAX).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What says which fleet and which agent this is, from the process that started us: some runtimes (codex) give
/// their servers a few variables only.
fn missing_variables() -> Vec<(OsString, OsString)> {
    let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap_or_default();
    let is_needed = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("MOSAIC_") || matches!(&*name, "XDG_RUNTIME_DIR" | "TMUX_TMPDIR")
    };
    let mut found = process::environment(parent).unwrap_or_default();
    found.retain(|(name, _)| is_needed(name) && std::env::var_os(name).is_none());
    found
}

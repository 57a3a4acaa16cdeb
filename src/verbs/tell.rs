//! Telling others of events: a command per event, and the desktop when an agent needs somebody.
//!
//! Both are somebody else's programs and may take long. They run on a thread of their own, one at a time, and
//! what waits for them is bounded.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::{Map, Value};

/// Most events that wait for a command: more are no use to a person, and to a program the cursor is.
const WAITING_MAX: usize = 100;

/// An event, as it is printed.
type Event = Map<String, Value>;

/// A field of an event, if it is a word.
pub fn word<'a>(event: &'a Event, key: &str) -> &'a str {
    event.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    /// How many were left out since the last command.
    dropped: u64,
    over: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Whoever panicked has left whole events.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of events.
pub struct Teller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    /// Starts one that runs this shell command, tells the desktop, or neither.
    pub fn start(exec: Option<OsString>, notify: bool) -> Teller {
        let shared = Arc::new(Shared::default());
        let thread = (exec.is_some() || notify).then(|| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || run(&shared, exec.as_ref(), notify))
        });
        Teller { shared, thread }
    }

    /// Takes an event; never waits.
    pub fn tell(&self, event: Event) {
        if self.thread.is_none() {
            return;
        }
        self.shared.queue().take(event);
        self.shared.changed.notify_one();
    }

    /// Tells what still waits, and ends.
    pub fn finish(mut self) {
        self.shared.queue().over = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn take(&mut self, event: Event) {
        let same = |other: &Event| {
            matches!(word(&event, "kind"), "state" | "beat")
                && word(other, "kind") == word(&event, "kind")
                && word(other, "agent") == word(&event, "agent")
        };
        if let Some(at) = self.events.iter().position(same) {
            self.events.remove(at);
            self.dropped += 1;
        }
        if self.events.len() == WAITING_MAX {
            self.events.pop_front();
            self.dropped += 1;
        }
        self.events.push_back(event);
    }
}

fn run(shared: &Shared, exec: Option<&OsString>, notify: bool) {
    loop {
        let mut queue = shared.queue();
        let (event, dropped) = loop {
            if let Some(event) = queue.events.pop_front() {
                break (event, std::mem::take(&mut queue.dropped));
            }
            if queue.over {
                return;
            }
            queue = shared
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        };
        drop(queue);
        if notify {
            notify_of(&event);
        }
        if let Some(exec) = exec {
            execute(exec, event, dropped);
        }
    }
}

/// Runs the command with the event on its standard input.
fn execute(command: &OsString, event: Event, dropped: u64) {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(command)
        .env("MOSAIC_EVENT_KIND", word(&event, "kind"))
        .env("MOSAIC_EVENT_AGENT", word(&event, "agent"))
        .env("MOSAIC_EVENT_DROPPED", dropped.to_string())
        .stdin(Stdio::piped())
        // Our own output is the events, and nothing else.
        .stdout(std::io::stderr());
    match shell.spawn() {
        Ok(mut child) => {
            if let Some(mut stdin) = child.stdin.take() {
                // A command need not read it.
                let _ = writeln!(stdin, "{}", Value::Object(event));
            }
            let _ = child.wait();
        }
        Err(e) => super::complain(format_args!("mosaic-fleet: starting sh for --exec: {e}")),
    }
}

/// Tells the desktop, if the event is one that a person should know of at once.
fn notify_of(event: &Event) {
    let state = word(event, "state");
    if word(event, "kind") != "state" || !matches!(state, "blocked" | "wedged") {
        return;
    }
    let plain = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).collect() };
    let title = format!("{} is {state}", plain(word(event, "agent")));
    let why = plain(word(event, "why"));
    let shown = Command::new("notify-send")
        .args(["--app-name=mosaic-fleet", "--", &title, &why])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut terminal = std::io::stderr();
    if !shown && terminal.is_terminal() {
        // OSC 9, which some terminals show as a notification; all of them ring the bell.
        let _ = write!(terminal, "\x1b]9;{title}: {why}\x07\x07");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(kind: &str, agent: &str, n: u64) -> Event {
        match json!({"kind": kind, "agent": agent, "n": n}) {
            Value::Object(event) => event,
            _ => Event::new(),
        }
    }

    #[test]
    fn of_the_states_that_wait_the_last_counts_and_the_rest_is_bounded() {
        let mut queue = Queue::default();
        for n in 0..5 {
            queue.take(event("state", "a", n));
            queue.take(event("state", "b", n));
        }
        let waiting: Vec<_> = queue.events.iter().map(|e| e["n"].clone()).collect();
        assert_eq!(waiting, [4, 4]);
        assert_eq!(queue.dropped, 8);
        for n in 0..200 {
            queue.take(event("receipt", "a", n));
        }
        assert_eq!(queue.events.len(), WAITING_MAX);
        assert_eq!(
            queue.events.back().map(|e| e["n"].clone()),
            Some(json!(199))
        );
        assert_eq!(queue.dropped, 8 + 2 + 100);
    }
}

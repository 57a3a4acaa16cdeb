//! `run NAME`: the sidecar. Open this first: the one loop in which everything meets.
//!
//! The byte pump runs on its own thread. Here, on the main thread (whose end would end the runtime, by
//! the parent-death signal), everything else is taken one thing at a time: what the pump saw, signals,
//! the runtime's end, requests, time. Each goes into the [`Harness`]; each effect it asks for is done
//! before the next thing is taken.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

use nix::libc;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use self::ending::{Ending, HANGUP};
use self::polls::Poll;
use self::takeover::Takeover;
use self::upgrade::Upgrade;
use super::documents;
use super::handoff::{self, Report};
use super::journal::Journal;
use super::recording::Recording;
use super::records::Records;
use super::server::{self, Clients, Heard};
use super::setup::{self, Sidecar};
use crate::cli::agent::RunOptions;
use crate::failure::{Doing, Failure, exit};
use crate::os::pidfd::PidFd;
use crate::os::process;
use crate::os::pump::{Batch, Event, Leftover, Pump};
use crate::os::socket::Peer;
use crate::os::{files, watch};
use crate::pure::cells::Changes;
use crate::pure::delivery::Written;
use crate::pure::events::{Events, Kind};
use crate::pure::handover::Handover;
use crate::pure::harness::{Asker, Effect, Ended, Harness, Input, Job, Now};
use crate::pure::hook;
use crate::pure::powers::{self, Power, Standing};
use crate::pure::profile::Profiles;
use crate::pure::wire::{Request, State};

mod effects;
mod ending;
mod keys;
mod model;
mod past;
mod polls;
mod requests;
mod takeover;
mod upgrade;

pub(super) use effects::facts;

/// A hook is at most this many generations below its runtime: a shell, and what the shell runs. What is deeper
/// may be of another session: codex' daemon is a child of the first codex, and calls the hooks of them all.
const HOOK_BELOW: usize = 2;

/// A pty gives at most 4,095 bytes at once: a read of so many is not the last of what is being printed.
const READ_FULL: usize = 4_000;

/// A runtime that neither went raw nor died within this time counts as up (a program that is no TUI).
const UP_AFTER: Duration = Duration::from_secs(3);

/// Runs the sidecar until its runtime has ended. Returns the runtime's exit code, or 128 + signal.
///
/// # Errors
/// What kept the runtime from being started.
pub fn run(options: RunOptions) -> Result<u8, Failure> {
    if options.can_take_over {
        let mut document = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut document);
        read.doing(|| "reading the handover".into())?;
        return upgrade::can_take_over(&document);
    }
    if let Some(number) = options.take_over {
        return take_over(&options, number);
    }
    setup::show_runtime_in_pane(&options);
    model::install_panic_hook();
    process::keep_memory_small();
    let mut launcher = None;
    if let Some(path) = &options.handoff {
        let (stream, vars) = handoff::fetch(path).doing(|| {
            format!(
                "fetching the launcher's environment from {}",
                path.display()
            )
        })?;
        // No thread has been started yet. What the launcher has not handed over goes: the tmux server
        // keeps the environment of the agent that happened to be launched first.
        process::replace_environment(vars, handoff::belongs_to_pane);
        launcher = Some(stream);
    }
    let result = setup::prepare(&options).and_then(|sidecar| serve(sidecar, None, &mut launcher));
    if let Err(failure) = &result {
        handoff::report(
            launcher,
            &Report::Failed {
                exit: failure.exit,
                message: failure.to_string(),
            },
        );
    }
    result
}

/// Goes on as the sidecar that was replaced by this binary.
fn take_over(options: &RunOptions, number: i32) -> Result<u8, Failure> {
    model::install_panic_hook();
    process::keep_memory_small();
    let left = upgrade::left(number)?;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => super::place::name_from_environment("run")?,
    };
    let mut sidecar = setup::take_over(name, &left)?;
    sidecar.record = options.record.clone();
    serve(sidecar, Some(left), &mut None)
}

fn readable(fd: BorrowedFd<'_>) -> Result<AsyncFd<OwnedFd>, Failure> {
    watch::readable(fd).doing(|| "preparing to wait".into())
}

fn serve(
    sidecar: Sidecar,
    taken: Option<Handover>,
    launcher: &mut Option<UnixStream>,
) -> Result<u8, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .doing(|| "starting the event loop".into())
        .and_then(|runtime| {
            let local = tokio::task::LocalSet::new();
            // Whatever takes a future keeps it twice: the one it was given and the one it waits for.
            local.block_on(&runtime, Box::pin(live(sidecar, taken, launcher)))
        })
}

async fn live(
    sidecar: Sidecar,
    taken: Option<Handover>,
    launcher: &mut Option<UnixStream>,
) -> Result<u8, Failure> {
    let outer_fd = match &sidecar.outer {
        Some(outer) => Some(
            outer
                .duplicate()
                .doing(|| "duplicating the terminal".into())?,
        ),
        None => None,
    };
    let master = sidecar
        .pty
        .duplicate()
        .doing(|| "duplicating the pty".into())?;
    let goes_on = taken.is_some();
    let mut taken = taken.unwrap_or_default();
    let left = Leftover {
        to_outer: std::mem::take(&mut taken.to_outer),
        to_inner: std::mem::take(&mut taken.to_inner),
        keys: std::mem::take(&mut taken.keys),
    };
    let pump = Pump::start(outer_fd, master, left).doing(|| "starting the byte pump".into())?;
    let pidfd = PidFd::open(sidecar.child).doing(|| "watching the runtime".into())?;
    server::raise_file_limit();
    let (ask, mut asked) = mpsc::channel(256);
    let clients = Clients::serve(
        sidecar.listener.try_clone().doing(|| "serving".into())?,
        ask.clone(),
        upgrade::adopt_clients(&mut taken),
        sidecar.place.origin(&sidecar.name),
    )
    .doing(|| "serving the ack socket".into())?;
    let now = now();
    let profiles = Profiles::with(&files::profile_files(&sidecar.place.settings.profile_dir));
    let tag = format!(
        "{:x}-{:x}",
        std::process::id(),
        crate::pure::receipt::unix_ms(now.wall)
    );
    let (size, interval) = (sidecar.size, sidecar.place.settings.interval);
    let mut harness = match goes_on {
        true => {
            let carried = std::mem::take(&mut taken.harness);
            let carried = (carried, taken.drawing.as_slice());
            Harness::resume(profiles, (size, interval), tag.clone(), carried, now)
        }
        false => Harness::new(profiles, size, interval, tag.clone(), now),
    };
    let journal = take_up(&sidecar, &mut harness, goes_on, now);
    let mut alarm = watch::Alarm::new().doing(|| "making a timer".into())?;
    let alarm_fd = readable(alarm.readable())?;
    let (pump_fd, pid_fd, signal_fd) = (
        readable(pump.readable())?,
        readable(pidfd.as_fd())?,
        readable(sidecar.signals.readable())?,
    );
    // In a box: the futures below would hold a copy each, and the stack one for every move.
    let mut at_work = Box::new(AtWork {
        sidecar,
        pump,
        harness,
        clients,
        ask,
        waiting: taken
            .waiting
            .iter()
            .map(|(asker, client)| (Asker(*asker), server::ClientId(*client)))
            .collect(),
        polls: Vec::new(),
        readers: Vec::new(),
        viewers_told: 0,
        takeover: None,
        changes: Changes::default(),
        records: Records::default(),
        journal,
        events: match goes_on {
            true => Events::resume(std::mem::take(&mut taken.events)),
            false => Events::new(tag),
        },
        recording: None,
        recording_trouble: None,
        typed: None,
        seq: taken.seq,
        ending: Ending::default(),
        upgrade: None,
        upgrades: taken.upgrades,
        panics: taken.panics,
        hooks: taken.hooks.clone(),
        since: now,
        up: launcher.take(),
    });
    if goes_on {
        at_work.tell_upgraded(&taken);
        let state = at_work.harness.state().0;
        let polls = taken.polls.into_iter();
        let polls = polls.filter_map(|poll| Poll::resume(poll, state, now.mono));
        at_work.go_on_reading(polls.collect());
        at_work.takeover = taken.attached.map(Takeover::resume);
        if let Some((client, ..)) = taken.attached {
            at_work.clients.may_be_silent(server::ClientId(client));
        }
        // Signals that came while nobody listened have waited; a size is looked at all the same.
        at_work.follow_size();
    }
    let mut batch = Batch::default();
    let mut ended_seen = false;
    at_work.begun(match goes_on {
        true => Kind::Upgrade,
        false => Kind::Start,
    });
    at_work.record_from_start();
    at_work.handle(Input::Tick);
    while !at_work.is_over() {
        alarm
            .set(at_work.deadline())
            .doing(|| "setting the timer".into())?;
        tokio::select! {
            biased;
            ready = pump_fd.readable() => {
                if let Ok(mut ready) = ready { ready.clear_ready(); }
                at_work.pump.take(&mut batch);
                at_work.take_batch(&batch);
            }
            ready = pid_fd.readable(), if !ended_seen => {
                if ready.is_ok() {
                    ended_seen = at_work.runtime_ended();
                }
            }
            ready = signal_fd.readable() => {
                if let Ok(mut ready) = ready { ready.clear_ready(); }
                at_work.take_signals();
            }
            () = at_work.records.changed() => at_work.read_records(),
            Some(heard) = asked.recv() => at_work.take_heard(heard),
            ready = alarm_fd.readable() => {
                if let Ok(mut ready) = ready { ready.clear_ready(); }
                alarm.rang();
                at_work.tick();
            }
        }
        at_work.go_on();
        at_work.answer_polls(Instant::now());
        at_work.go_on_upgrading(&mut asked).await?;
    }
    Ok(at_work.finish().await)
}

/// Goes on with the messages of the sidecar before, or of the model before the one that failed, and in its place.
fn take_up(sidecar: &Sidecar, harness: &mut Harness, goes_on: bool, now: Now) -> Journal {
    if sidecar.outer.is_none() {
        harness.be_the_terminal();
    }
    let path = sidecar.place.journal(&sidecar.name);
    let (mut journal, mut recovered) = Journal::read(&path, now.wall);
    if goes_on {
        // The queue was handed over, with those in it that no journal keeps.
        recovered.held.clear();
    }
    harness.recover(recovered, now);
    journal.begin(&harness.journal(now));
    journal
}

fn now() -> Now {
    Now {
        mono: Instant::now(),
        wall: SystemTime::now(),
    }
}

/// The sidecar while its runtime lives.
struct AtWork {
    sidecar: Sidecar,
    pump: Pump,
    harness: Harness,
    clients: Clients,
    /// Where the connections send their requests.
    ask: mpsc::Sender<Heard>,
    /// Which client waits for the verdict the harness knows by this number.
    waiting: HashMap<Asker, server::ClientId>,
    /// Readers that wait for something new.
    polls: Vec<Poll>,
    /// Connections that have asked to wait, some of which may be closed by now.
    readers: Vec<server::ClientId>,
    /// How many of them readers of events know of.
    viewers_told: usize,
    /// Who has taken over, or had, if that connection is closed by now.
    takeover: Option<Takeover>,
    /// What readers have seen of the screen, and what is new.
    changes: Changes,
    /// What the runtime writes down by itself.
    records: Records,
    /// What must survive us.
    journal: Journal,
    /// What has happened.
    events: Events,
    recording: Option<Recording>,
    /// Why it has ended by itself.
    recording_trouble: Option<String>,
    /// What is being typed by us, for a recording of the input.
    typed: Option<Vec<u8>>,
    seq: u64,
    ending: Ending,
    /// An upgrade that was asked for.
    upgrade: Option<Upgrade>,
    /// How often this sidecar was replaced by another binary.
    upgrades: u32,
    /// How often the screen model has failed.
    panics: u32,
    /// What the runtime's hooks have told.
    hooks: hook::Heard,
    since: Now,
    /// The launcher that waits for us to be up.
    up: Option<UnixStream>,
}

impl AtWork {
    /// Nothing more is to be waited for.
    fn is_over(&self) -> bool {
        self.ending.is_over() && self.events.awaits_reader(Instant::now()).is_none()
    }

    fn deadline(&self) -> Instant {
        let mut deadline = self.harness.deadline();
        if self.ending.is_over()
            && let Some(at) = self.events.awaits_reader(Instant::now())
        {
            deadline = deadline.min(at);
        }
        if let Some(at) = self.ending.deadline() {
            deadline = deadline.min(at);
        }
        if self.up.is_some() {
            deadline = deadline.min(self.since.mono + UP_AFTER);
        }
        if let Some(at) = self.records.next_look() {
            deadline = deadline.min(at);
        }
        if let Some(at) = self.next_upgrade() {
            deadline = deadline.min(at);
        }
        if let Some(at) = self.recording.as_ref().and_then(Recording::deadline) {
            deadline = deadline.min(at);
        }
        if let Some(at) = self.next_poll() {
            deadline = deadline.min(at);
        }
        deadline
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now >= self.since.mono + UP_AFTER {
            self.report_up();
        }
        self.flush_recording(Some(now));
        self.tell_viewers();
        if self.records.next_look().is_some_and(|at| now >= at) {
            self.read_records();
        }
        self.handle(Input::Tick);
    }

    fn origin(&self) -> crate::pure::wire::Origin {
        self.sidecar.place.origin(&self.sidecar.name)
    }

    fn take_batch(&mut self, batch: &Batch) {
        let mut at = 0;
        for event in &batch.events {
            match *event {
                Event::Output(n) => {
                    let more_waits = batch.bytes.len() > at + n || n >= READ_FULL;
                    self.harness.hurry(more_waits);
                    let bytes = &batch.bytes[at..at + n];
                    self.feed(bytes);
                    self.record("o", bytes);
                    at += n;
                }
                Event::Outer(n) => {
                    let bytes = &batch.bytes[at..at + n];
                    self.record_input(bytes);
                    self.handle(Input::Outer(bytes));
                    at += n;
                }
                Event::Written(job, when) => {
                    if let Some(typed) = self.typed.take() {
                        self.record_input(&typed);
                    }
                    self.handle(Input::Written(Job(job), Written::At(when)))
                }
                Event::Refused(job) => {
                    self.typed = None;
                    self.handle(Input::Written(Job(job), Written::Refused));
                }
                Event::Cancelled(job) => {
                    self.typed = None;
                    self.handle(Input::Written(Job(job), Written::Cancelled));
                }
                Event::OuterGone => self.end_runtime(HANGUP),
                Event::Drained => self.ending.drained = true,
            }
        }
        if self.up.is_some() && self.sidecar.pty.is_raw() {
            self.report_up();
        }
    }

    fn take_signals(&mut self) {
        for signal in self.sidecar.signals.take() {
            match signal {
                libc::SIGWINCH => self.follow_size(),
                libc::SIGCHLD => process::reap_orphans(self.sidecar.child),
                libc::SIGHUP => self.end_runtime(HANGUP),
                libc::SIGTERM => self.end_runtime("terminated"),
                _ => self.end_runtime("interrupted"),
            }
        }
    }

    fn follow_size(&mut self) {
        let Some(outer) = &self.sidecar.outer else {
            return;
        };
        let size = outer.size();
        if size != self.sidecar.size {
            self.sidecar.size = size;
            if let Err(e) = self.sidecar.pty.resize(size) {
                tracing::warn!("resizing the runtime's terminal: {e}");
            }
            self.handle(Input::Resized(size));
            let shown = format!("{}x{}", size.cols, size.rows);
            self.record("r", shown.as_bytes());
        }
    }

    fn report_up(&mut self) {
        if self.harness.ended().is_none() {
            handoff::report(
                self.up.take(),
                &Report::Ready {
                    sidecar: std::process::id(),
                    pid: self.sidecar.child,
                },
            );
        }
    }

    /// The end: last words to everybody, everything borrowed given back.
    async fn finish(mut self: Box<Self>) -> u8 {
        self.pump.join();
        let ended = self.harness.ended().unwrap_or(Ended::Code(1));
        if let Some(up) = self.up.take() {
            let screen = self.harness.screen().text();
            let printed: Vec<&str> = screen.lines().filter(|l| !l.trim().is_empty()).collect();
            let tail = printed[printed.len().saturating_sub(20)..].join("\n  | ");
            let message = if tail.is_empty() {
                format!(
                    "the runtime ended at once ({}) and printed nothing",
                    ended.words()
                )
            } else {
                format!(
                    "the runtime ended at once ({}); it printed:\n  | {tail}",
                    ended.words()
                )
            };
            let exit = match ended.code() {
                0 => exit::INTERNAL,
                code => code,
            };
            handoff::report(Some(up), &Report::Failed { exit, message });
        }
        debug_assert_eq!(self.harness.state().0, State::Exited);
        self.record("x", ended.code().to_string().as_bytes());
        self.flush_recording(None);
        self.beat();
        self.tell_stopped(ended);
        self.answer_all_polls();
        self.clients.finish().await;
        drop(self.sidecar.bound);
        drop(self.sidecar.outer);
        ended.code()
    }
}

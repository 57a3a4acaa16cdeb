//! `launch --supervise NAME`, performed by `mosaic-fleet`: the main process of an agent's unit.
//!
//! It launches the agent, or adopts the one that runs already, and stays: one poll on the sidecar's pidfd
//! and our signals. What keeps a unit alive for systemd is a real answer of the sidecar and nothing else.

mod next;

use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant, SystemTime};

use nix::libc;

use super::ask::{self, NoAnswer};
use super::place::Place;
use super::{beside, scope, setup};
use crate::cli::supervise::Held;
use crate::failure::{Doing, Failure, exit};
use crate::os::notify::Notify;
use crate::os::pidfd::PidFd;
use crate::os::signals::Signals;
use crate::os::{files, process, replace};
use crate::pure::beat::{Found, READ_MAX};
use crate::pure::supervise::{self, End, Pace};
use crate::pure::wire::Status;
use crate::units::AgentName;

/// The sidecar gives its runtime 5 s, and 2 s to show its last output; then it writes its last words.
const SIDECAR_GRACE: Duration = Duration::from_secs(9);

/// How long a killed process may take to be gone.
const KILLED_WITHIN: Duration = Duration::from_secs(2);

/// How long a sidecar that is starting or ending may keep an agent without answering.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// A running sidecar, held.
struct Sidecar {
    pid: i32,
    fd: PidFd,
}

pub(super) use next::{
    ask_whether_it_can, become_monitor, can_take_over, is_monitor, monitor_beside,
};

/// Supervises an agent until it has ended or we are asked to end it. With a sidecar that the binary before has held in
/// this process we go on where that one was: the service manager was told already that its unit is up.
///
/// Returns the runtime's exit code, or 0 after SIGTERM.
///
/// # Errors
/// The agent could not be launched.
pub fn supervise(name: &AgentName, held: Option<Held>) -> Result<u8, Failure> {
    process::keep_memory_small();
    let place = Place::here()?;
    let patience = std::env::var("MOSAIC_AGENT_RESTART_WEDGED").ok();
    let patience = supervise::wedged_limit(patience.as_deref().filter(|t| !t.is_empty()))
        .map_err(|e| Failure::new(exit::CONFIG, "reading the environment", e))?;
    // Before anything is started: a limit that makes no sense is no limit.
    scope::limits()?;
    let notify = Notify::from_environment();
    let pace = Pace::of(notify.watchdog());
    let mut monitor = Monitor {
        signals: Signals::listen().doing(|| "listening to signals".into())?,
        name,
        place,
        notify,
        pace,
        patience,
        said: String::new(),
        asked_to_stop: false,
        upgrades: None,
        look_for_next: false,
    };
    // The binary before has made them wait.
    replace::release_signals();
    if let Some(sidecar) = held.and_then(next::left) {
        return Ok(monitor.watch(&sidecar, Duration::ZERO));
    }
    let begun = SystemTime::now();
    let found = match monitor.adopt()? {
        None => match monitor.launch()? {
            exit::OK => monitor.adopt()?,
            // Nothing is left of what we were asked to end.
            _ if monitor.asked_to_stop => return Ok(exit::OK),
            code => return Ok(code),
        },
        found => found,
    };
    let Some((sidecar, status)) = found else {
        return Ok(monitor.ended_at_once(begun));
    };
    monitor.tell("READY=1");
    monitor.answered(&status);
    let first = monitor.pace.after(status.state);
    Ok(monitor.watch(&sidecar, first))
}

struct Monitor<'a> {
    name: &'a AgentName,
    place: Place,
    notify: Notify,
    signals: Signals,
    pace: Pace,
    /// How long the agent may be wedged.
    patience: Option<Duration>,
    /// The last status line.
    said: String,
    asked_to_stop: bool,
    /// How often the sidecar has said that it was replaced.
    upgrades: Option<u32>,
    /// It may be another binary now, and ours may have a next one.
    look_for_next: bool,
}

/// What follows from a question.
enum Asked {
    /// The next one, so long after this one.
    Again(Duration),
    /// The agent has been wedged for longer than it may.
    Wedged,
}

impl Monitor<'_> {
    /// A manager that cannot be told ends us by its watchdog: nothing is to be done about it here.
    fn tell(&self, assignments: &str) {
        let _ = self.notify.tell(assignments);
    }

    fn say(&mut self, line: String) {
        if line != self.said {
            self.tell(&format!("STATUS={line}"));
            self.said = line;
        }
    }

    fn answered(&mut self, status: &Status) {
        self.tell("WATCHDOG=1");
        self.say(supervise::line(status));
        let before = self.upgrades.replace(status.upgrades);
        self.look_for_next |= before.is_some_and(|before| before != status.upgrades);
    }

    /// The sidecar that answers, if one does. One that owns the agent and does not answer is ended: nothing
    /// can be said of its runtime, and it would keep the next one out.
    fn adopt(&mut self) -> Result<Option<(Sidecar, Status)>, Failure> {
        let ask = |within| ask::status(&self.place, self.name, within);
        let deadline = Instant::now() + ANSWERS_WITHIN;
        let status = loop {
            match ask(ANSWERS_WITHIN) {
                Ok(status) => break status,
                Err(NoAnswer::Gone(_)) if setup::owner(&self.place, self.name).is_none() => {
                    return Ok(None);
                }
                // It is starting or ending.
                Err(NoAnswer::Gone(_)) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(_) => {
                    end_silent(&self.place, self.name);
                    return Ok(None);
                }
            }
        };
        let Ok(pid) = i32::try_from(status.sidecar) else {
            return Ok(None);
        };
        let doing = || format!("holding the sidecar of {}", self.name);
        let fd = match PidFd::open(pid) {
            Ok(fd) => fd,
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => return Ok(None),
            Err(e) => return Err(Failure::new(exit::INTERNAL, doing(), e)),
        };
        // It answers with this pid while we hold the descriptor: the pid was not recycled in between.
        match ask(ANSWERS_WITHIN) {
            Ok(again) if again.sidecar == status.sidecar => Ok(Some((Sidecar { pid, fd }, again))),
            Ok(_) | Err(NoAnswer::Gone(_)) => Ok(None),
            Err(e) => Err(Failure::new(exit::INTERNAL, doing(), format!("{e:?}"))),
        }
    }

    /// Runs `mosaic-agent launch NAME` to its end; returns its exit code. Asked to stop meanwhile, we wait for
    /// it: a launch that is cut short leaves an agent that nobody holds.
    fn launch(&mut self) -> Result<u8, Failure> {
        self.say("starting the runtime".into());
        let agent = beside::find("mosaic-agent")?;
        let mut child = Command::new(&agent)
            .arg("launch")
            .arg(self.name.as_str())
            .spawn()
            .doing(|| format!("starting {}", agent.display()))?;
        loop {
            // The end of the child is a signal, too.
            self.take_signals();
            let ended = child.try_wait().doing(|| "waiting for the launch".into())?;
            if let Some(status) = ended {
                return Ok(code_of(status));
            }
            self.signals.wait(None::<&PidFd>, Duration::from_secs(1));
        }
    }

    fn take_signals(&mut self) {
        for signal in self.signals.take() {
            match signal {
                libc::SIGTERM | libc::SIGINT => self.asked_to_stop = true,
                // `upgrade` does not wait for our next question.
                libc::SIGHUP => self.look_for_next = true,
                _ => {}
            }
        }
    }

    fn watch(&mut self, sidecar: &Sidecar, first: Duration) -> u8 {
        let mut next = Instant::now() + first;
        loop {
            self.take_signals();
            if self.asked_to_stop {
                return self.stop(sidecar);
            }
            if sidecar.fd.has_ended() {
                return self.ended(sidecar);
            }
            if std::mem::take(&mut self.look_for_next) {
                self.become_next(sidecar);
                continue;
            }
            if Instant::now() >= next {
                let asked = Instant::now();
                match self.ask(sidecar) {
                    Asked::Wedged => {
                        end(&sidecar.fd);
                        scope::end(self.name);
                        return exit::LATER;
                    }
                    Asked::Again(after) => next = asked + after,
                }
                continue;
            }
            let left = next.saturating_duration_since(Instant::now());
            self.signals.wait(Some(&sidecar.fd), left);
        }
    }

    fn ask(&mut self, sidecar: &Sidecar) -> Asked {
        match ask::status(&self.place, self.name, self.pace.within) {
            Ok(status) if i32::try_from(status.sidecar) == Ok(sidecar.pid) => {
                self.answered(&status);
                if supervise::is_wedged_too_long(&status, self.patience) {
                    super::complain(format_args!(
                        "mosaic-agent: {} has been wedged for {} s ({}): it is ended",
                        self.name, status.for_s, status.why
                    ));
                    return Asked::Wedged;
                }
                return Asked::Again(self.pace.after(status.state));
            }
            // Its end is seen by the pidfd; anything else is no proof of life, so the watchdog gets nothing.
            Ok(_) | Err(NoAnswer::Gone(_)) => self.say("the sidecar is gone".into()),
            Err(_) => self.say("the sidecar does not answer".into()),
        }
        Asked::Again(self.pace.every)
    }

    fn stop(&mut self, sidecar: &Sidecar) -> u8 {
        self.tell("STOPPING=1\nSTATUS=ending the runtime");
        end(&sidecar.fd);
        scope::end(self.name);
        exit::OK
    }

    fn ended(&self, sidecar: &Sidecar) -> u8 {
        self.end_as(supervise::end_of(self.beat().as_ref(), sidecar.pid))
    }

    /// It was up and ended before we could hold it: its heartbeat speaks for it if it is not an older one.
    fn ended_at_once(&self, begun: SystemTime) -> u8 {
        // A heartbeat's times are in whole seconds.
        let ours = |b: &Found| b.time("started") >= begun.checked_sub(Duration::from_secs(1));
        let beat = self.beat().filter(ours);
        let sidecar = beat.as_ref().and_then(|b| b.get("sidecar")?.parse().ok());
        self.end_as(supervise::end_of(beat.as_ref(), sidecar.unwrap_or(0)))
    }

    fn beat(&self) -> Option<Found> {
        let bytes = files::read_small(&self.place.heartbeat(self.name), READ_MAX).ok()?;
        Some(Found::parse(&bytes))
    }

    fn end_as(&self, end: End) -> u8 {
        self.tell(&format!("STOPPING=1\nSTATUS={}", end.words));
        super::complain(format_args!("mosaic-agent: {}: {}", self.name, end.words));
        scope::end(self.name);
        end.code
    }
}

fn code_of(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or(status.signal().map(|s| 128 + s));
    code.and_then(|c| u8::try_from(c).ok())
        .unwrap_or(exit::INTERNAL)
}

/// Ends a sidecar: TERM, and KILL if that does not help. Its runtime goes with it either way.
fn end(sidecar: &PidFd) {
    // One that is stopped acts on TERM only once it runs again.
    for signal in [libc::SIGTERM, libc::SIGCONT] {
        let _ = sidecar.signal(signal);
    }
    if !sidecar.ends_within(SIDECAR_GRACE) {
        let _ = sidecar.signal(libc::SIGKILL);
        sidecar.ends_within(KILLED_WITHIN);
    }
}

/// Ends a sidecar that owns the agent, if there is one, without asking it anything.
fn end_silent(place: &Place, name: &AgentName) {
    let Some(pid) = setup::owner(place, name) else {
        return;
    };
    // The lock is still held by that pid after we have opened it: it is the sidecar.
    if let Ok(fd) = PidFd::open(pid)
        && setup::owner(place, name) == Some(pid)
    {
        super::complain(format_args!(
            "mosaic-agent: the sidecar of {name} (pid {pid}) does not answer: it is ended"
        ));
        end(&fd);
    }
}

/// `end NAME`: what the unit calls when it is down for good. Nothing of the agent is left then, also if its
/// monitor was killed and nobody came back.
///
/// # Errors
/// The environment makes no sense.
pub fn end_what_is_left(name: &AgentName) -> Result<u8, Failure> {
    let place = Place::here()?;
    // A unit on its way back adopts its agent.
    let unit = format!("mosaic-agent@{name}.service");
    let shown = crate::os::systemd::systemctl(&["show", "-p", "ActiveState,Job", &unit])
        .doing(|| format!("asking systemctl about {unit}"))?;
    let text = String::from_utf8_lossy(&shown.stdout);
    let is_down = text
        .lines()
        .any(|l| matches!(l, "ActiveState=inactive" | "ActiveState=failed"));
    let comes_back = text
        .lines()
        .filter_map(|l| l.strip_prefix("Job="))
        .any(|job| !matches!(job, "" | "0"));
    if is_down && !comes_back {
        end_silent(&place, name);
        scope::end(name);
    }
    Ok(exit::OK)
}

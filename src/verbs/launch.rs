//! `launch NAME`, performed by `mosaic-fleet`: what the unit (or the old script) calls. Makes the tmux session that runs the sidecar
//! and returns when the agent is up, with a clear error otherwise.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ask;
use super::handoff::{self, Report};
use super::place::Place;
use super::{beside, program, setup};
use crate::failure::{Doing, Failure, exit};
use crate::os::files;
use crate::os::pidfd::PidFd;
use crate::os::process;
use crate::os::pty;
use crate::os::socket::{self, Bound};
use crate::os::systemd;
use crate::os::tmux::Tmux;
use crate::pure::beat::{Found, READ_MAX};
use crate::pure::settings::Settings;
use crate::units::AgentName;

/// How long the sidecar may take to say that it is up. A cold npm runtime on a loaded machine took 6 s
/// until its first output, and the sidecar reports a program that shows nothing after 3 s anyway.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// A sidecar whose terminal is gone ends within this time: 5 s for the runtime, 3 s for what it has left behind.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

/// An end that takes no longer than this is not worth a word.
const NOTICED_WITHIN: Duration = Duration::from_millis(300);

/// A sidecar that runs says so within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// Launches an agent.
///
/// # Errors
/// tmux is missing (69), the runtime is missing (127) or ended at once (its code), or the session
/// exists without a sidecar.
pub fn launch(name: &AgentName, quiet: bool) -> Result<u8, Failure> {
    let place = Place::here()?;
    let tmux = find_tmux(&place.settings)?;
    place.prepare()?;
    let tell = |text: &str| {
        if !quiet {
            super::print(&format!("{text}\n"));
        }
    };
    let doing = || format!("launching the agent {name}");
    if tmux.has_session(name.as_str()).doing(doing)? {
        if !is_left_over(&tmux, name).doing(doing)? {
            return already_there(&place, name, &tmux, tell);
        }
        tmux.kill_session(name.as_str()).doing(doing)?;
    } else if runs_elsewhere(&place, name) {
        // One owner per agent: a second session could only fail.
        super::complain(format_args!(
            "mosaic-fleet: {name} is in no tmux session of this socket; `mosaic-fleet ps {name}` shows where it is"
        ));
        tell(&format!("already running: {name}"));
        return Ok(exit::OK);
    }
    // Before anything is made, so that a missing runtime leaves nothing behind.
    program::check(&place, name)?;
    wait_for_the_last_one(&place, name);
    std::fs::create_dir_all(&place.settings.workdir).map_err(|e| {
        let what = format!(
            "making the working directory {}",
            place.settings.workdir.display()
        );
        Failure::new(exit::CONFIG, what, e).hint("set MOSAIC_AGENT_WORKDIR to a directory of yours")
    })?;
    socket::check_length(&place.socket(name))?;
    let path = handoff_path(&place, name);
    let (listener, bound) = socket::bind_private(&path)?;
    let argv: Vec<OsString> = vec![
        beside::find("mosaic-agent")?.into(),
        "run".into(),
        name.as_str().into(),
        "--handoff".into(),
        path.into(),
        "--as".into(),
        place.settings.runtime.clone().into(),
    ];
    let make = || tmux.new_session(name.as_str(), &place.settings.workdir, &argv);
    let made = match make() {
        // A server whose last session has just ended takes the call and is gone; there is a new one then.
        Err(e) if e.to_string().contains("server exited") => make(),
        made => made,
    };
    let pane = match made {
        Ok(pane) => pane,
        // Somebody launched it between our look and now.
        Err(e) if e.to_string().contains("duplicate session") => {
            return already_there(&place, name, &tmux, tell);
        }
        Err(e) => {
            return Err(Failure::new(exit::INTERNAL, doing(), e)
                .hint("see whether `tmux new-session -d` works by hand"));
        }
    };
    let reported = wait_for_run(&listener, bound, pane).and_then(|(stream, deadline)| {
        enclose(name, pane);
        exchange(stream, deadline)
    });
    match reported {
        Ok(Report::Ready { sidecar, pid }) => {
            tell(&format!(
                "started {name} (sidecar {sidecar}, runtime {pid})"
            ));
            Ok(exit::OK)
        }
        Ok(Report::Failed { exit, message }) => Err(Failure::new(exit, doing(), message)),
        Err(e) => Err(Failure::new(exit::INTERNAL, doing(), e).hint(format!(
            "look into the pane: tmux{} attach -t ={name}",
            socket_flag(&tmux)
        ))),
    }
}

/// Where the `run` in the pane finds us. Wherever the ack socket fits, this does: six hexadecimal digits hold every pid
/// there can be (4,194,303 at most), and the shortest name of an ack socket has as many characters.
fn handoff_path(place: &Place, name: &AgentName) -> PathBuf {
    let (dir, pid) = (place.socket_dir(), std::process::id());
    let telling = dir.join(format!(".{name}.launch-{pid}"));
    match socket::fits(&telling) {
        true => telling,
        false => dir.join(format!("{pid:x}")),
    }
}

fn socket_flag(tmux: &Tmux) -> String {
    if tmux.socket.is_empty() {
        String::new()
    } else {
        format!(" -L {}", tmux.socket)
    }
}

/// Has the process of the pane put into a scope of its own, where there is a manager that can do so. It waits
/// for its environment and has no children yet: all that it starts later will be in there.
fn enclose(name: &AgentName, pane: i32) {
    if !systemd::is_there() {
        return;
    }
    let done = beside::find("mosaic-fleet").map(|fleet| {
        std::process::Command::new(fleet)
            .args(["enclose", name.as_str(), &pane.to_string()])
            .status()
            .is_ok_and(|status| status.success())
    });
    // Why, it has said itself.
    if !done.unwrap_or(false) {
        super::complain(format_args!(
            "mosaic-agent: {name} has no scope of its own: it lives where tmux has put it, without limits"
        ));
    }
}

/// Whether the agent runs where no session of this socket could be: in no tmux, or in another one. One of this socket
/// whose session has just been killed may still answer; it is not taken for one that runs.
fn runs_elsewhere(place: &Place, name: &AgentName) -> bool {
    let Ok(bytes) = files::read_small(&place.heartbeat(name), READ_MAX) else {
        return false;
    };
    let plain = |socket: &str| match socket {
        "default" => String::new(),
        name => name.to_owned(),
    };
    let here = plain(&place.settings.tmux_socket);
    let there = Found::parse(&bytes).raw("tmux").map(plain);
    there != Some(here) && ask::status(place, name, ANSWERS_WITHIN).is_ok()
}

/// The sidecar of a session that was killed a moment ago gives its runtime the grace it has; the name is free only then.
fn wait_for_the_last_one(place: &Place, name: &AgentName) {
    let Some(pid) = setup::owner(place, name) else {
        return;
    };
    let Ok(last) = PidFd::open(pid) else { return };
    if !last.ends_within(NOTICED_WITHIN) {
        super::complain(format_args!(
            "mosaic-fleet: waiting for the last sidecar of {name} (pid {pid}) to end"
        ));
        last.ends_within(ENDS_WITHIN);
    }
}

/// Whether every process of a session has ended: kept by `remain-on-exit`, or by a tmux that has missed the
/// end of a process which was stopped and continued before (seen in 3.3a) and holds a zombie.
fn is_left_over(tmux: &Tmux, name: &AgentName) -> io::Result<bool> {
    let mut panes = tmux.panes()?;
    panes.retain(|pane| pane.session == name.as_str());
    let ended = |pid| matches!(process::state_letter(pid), None | Some('Z' | 'X'));
    Ok(!panes.is_empty() && panes.iter().all(|pane| pane.dead || ended(pane.pid)))
}

/// A session of that name exists: fine if a sidecar answers in it, or is about to.
fn already_there(
    place: &Place,
    name: &AgentName,
    tmux: &Tmux,
    tell: impl Fn(&str),
) -> Result<u8, Failure> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if ask::status(place, name, ANSWERS_WITHIN).is_ok() {
            tell(&format!("already running: {name}"));
            return Ok(exit::OK);
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(
                exit::INTERNAL,
                format!("launching the agent {name}"),
                format!("a tmux session {name} exists, and no sidecar answers in it"),
            )
            .hint(format!(
                "look at it (tmux{0} attach -t ={name}), or end it (tmux{0} kill-session -t ={name}) and launch again",
                socket_flag(tmux)
            )));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the `run` in the pane has connected; it waits for its environment then. Also until when it
/// must be up.
fn wait_for_run(
    listener: &UnixListener,
    bound: Bound,
    pane: i32,
) -> io::Result<(UnixStream, Instant)> {
    let deadline = Instant::now() + UP_WITHIN;
    let pane = PidFd::open(pane);
    let gone = || io::Error::other("the process in the pane ended before it said anything");
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) if socket::peer(&stream).is_ok_and(socket::is_us) => break stream,
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if pane.as_ref().map_or(true, PidFd::has_ended) {
                    // It may have connected and gone between the two looks.
                    match listener.accept() {
                        Ok((stream, _)) if socket::peer(&stream).is_ok_and(socket::is_us) => {
                            break stream;
                        }
                        _ => return Err(gone()),
                    }
                }
                wait_readable(listener, deadline)?;
            }
            Err(e) => return Err(e),
        }
    };
    // Nobody else is expected: the path goes at once, also if we are killed while waiting.
    drop(bound);
    Ok((stream, deadline))
}

fn exchange(mut stream: UnixStream, deadline: Instant) -> io::Result<Report> {
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    handoff::give_environment(&mut stream)?;
    let left = deadline.saturating_duration_since(Instant::now());
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
    let mut line = String::new();
    match BufReader::new(stream).read_line(&mut line) {
        Ok(0) => Err(io::Error::other("the sidecar ended before it was up")),
        Ok(_) => serde_json::from_str(&line).map_err(io::Error::other),
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Err(io::Error::other(format!(
                "the sidecar was not up within {} s",
                UP_WITHIN.as_secs()
            )))
        }
        Err(e) => Err(e),
    }
}

/// Sleeps until somebody connects; at most 100 ms, so that a dead pane is noticed.
fn wait_readable(listener: &UnixListener, deadline: Instant) -> io::Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    if Instant::now() >= deadline {
        return Err(io::Error::other(format!(
            "nothing started in the pane within {} s",
            UP_WITHIN.as_secs()
        )));
    }
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    let _ = poll(&mut fds, PollTimeout::from(100u8));
    Ok(())
}

/// The tmux to use, or what to install.
///
/// # Errors
/// [`exit::MISSING`].
pub fn find_tmux(settings: &Settings) -> Result<Tmux, Failure> {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = if path.is_empty() {
        "/usr/local/bin:/usr/bin:/bin".to_owned()
    } else {
        path
    };
    let name = std::env::var("MOSAIC_TMUX_BIN").unwrap_or_else(|_| "tmux".into());
    let binary = pty::find_program(&name, &path, Path::new("/")).map_err(|e| {
        Failure::new(exit::MISSING, "looking for tmux", e)
            .hint("install it: apt-get install tmux (or your system's way)")
    })?;
    Ok(Tmux {
        binary,
        socket: settings.tmux_socket.clone(),
    })
}

//! `launch NAME`: what the unit (or the old script) calls. Makes the tmux session that runs the sidecar
//! and returns when the agent is up, with a clear error otherwise.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ask;
use super::handoff::{self, Report};
use super::place::Place;
use crate::failure::{Doing, Failure, exit};
use crate::os::pidfd::PidFd;
use crate::os::socket::{self, Bound};
use crate::os::tmux::Tmux;
use crate::os::{files, pty};
use crate::pure::settings::{Settings, join_path};
use crate::units::AgentName;

/// How long the sidecar may take to say that it is up. A cold npm runtime on a loaded machine took 6 s
/// until its first output, and the sidecar reports a program that shows nothing after 3 s anyway.
const UP_WITHIN: Duration = Duration::from_secs(20);

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
            println!("{text}");
        }
    };
    let doing = || format!("launching the agent {name}");
    if tmux.has_session(name.as_str()).doing(doing)? {
        return already_there(&place, name, &tmux, tell);
    }
    // Before anything is made, so that a missing runtime leaves nothing behind.
    super::run::check_runtime(&place, name)?;
    std::fs::create_dir_all(&place.settings.workdir).map_err(|e| {
        let what = format!(
            "making the working directory {}",
            place.settings.workdir.display()
        );
        Failure::new(exit::CONFIG, what, e).hint("set MOSAIC_AGENT_WORKDIR to a directory of yours")
    })?;
    let path = place
        .socket_dir()
        .join(format!(".{name}.launch-{}", std::process::id()));
    let (listener, bound) = socket::bind_private(&path)?;
    let me = std::env::current_exe().doing(|| "finding our own executable".into())?;
    let argv: Vec<OsString> = vec![
        me.into(),
        "run".into(),
        name.as_str().into(),
        "--handoff".into(),
        path.into(),
        "--as".into(),
        place.settings.runtime.clone().into(),
    ];
    let pane = match tmux.new_session(name.as_str(), &place.settings.workdir, &argv) {
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
    match wait_for_report(&listener, bound, pane) {
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

fn socket_flag(tmux: &Tmux) -> String {
    if tmux.socket.is_empty() {
        String::new()
    } else {
        format!(" -L {}", tmux.socket)
    }
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
        if ask::status(place, name, Duration::from_secs(2)).is_ok() {
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

/// Waits until the `run` in the pane has connected and reported.
fn wait_for_report(listener: &UnixListener, bound: Bound, pane: i32) -> io::Result<Report> {
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
    exchange(stream, deadline)
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

/// The PATH the runtime gets: the prefix directories that exist, always first, then the old one.
pub fn path_for_runtime(settings: &Settings) -> String {
    let old = std::env::var("PATH").unwrap_or_default();
    let npm = npm_prefix(settings, &old);
    let prefix: Vec<PathBuf> = settings
        .path_prefix(npm.as_deref())
        .into_iter()
        .filter(|dir| dir.is_dir())
        .collect();
    join_path(&prefix, &old)
}

/// What `npm config get prefix` would say, without waiting 300 ms for node to say it, where npm is
/// node's own; a wrapper of that name is asked.
fn npm_prefix(settings: &Settings, path: &str) -> Option<PathBuf> {
    let npm = pty::find_program("npm", path, Path::new("/")).ok()?;
    let real = std::fs::canonicalize(&npm).ok()?;
    if !real.ends_with("npm-cli.js") {
        let output = std::process::Command::new(npm)
            .args(["config", "get", "prefix"])
            .env("PATH", path)
            .stdin(std::process::Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        return Some(PathBuf::from(text.trim())).filter(|p| p.is_absolute());
    }
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    if let Some(prefix) = var("npm_config_prefix").or_else(|| var("NPM_CONFIG_PREFIX")) {
        return Some(PathBuf::from(prefix));
    }
    let user = var("npm_config_userconfig")
        .or_else(|| var("NPM_CONFIG_USERCONFIG"))
        .map_or_else(|| settings.home.join(".npmrc"), PathBuf::from);
    let node = pty::find_program("node", path, Path::new("/")).ok()?;
    let node = std::fs::canonicalize(node).ok()?;
    let global = var("PREFIX")
        .map(PathBuf::from)
        .or_else(|| Some(node.parent()?.parent()?.to_owned()))?;
    npmrc_prefix(&user, settings)
        .or_else(|| npmrc_prefix(&global.join("etc/npmrc"), settings))
        .or(Some(global))
}

/// The `prefix` an npmrc file sets.
fn npmrc_prefix(file: &Path, settings: &Settings) -> Option<PathBuf> {
    let bytes = files::read_small(&std::fs::canonicalize(file).ok()?, 64 * 1024).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let value = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| key.trim() == "prefix")
        .map(|(_, value)| value.trim().trim_matches(['"', '\'']).to_owned())
        .next_back()?;
    let home = settings.home.to_string_lossy();
    let value = value.replace("${HOME}", &home).replace("$HOME", &home);
    Some(match value.strip_prefix("~/") {
        Some(rest) => settings.home.join(rest),
        None => PathBuf::from(value),
    })
}

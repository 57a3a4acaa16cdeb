//! What to start: the runtime's command line, executable, environment and working directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::cli::agent::RunOptions;
use crate::failure::{Failure, exit};
use crate::os::pty::Program;
use crate::os::{files, pty};
use crate::pure::command::{self, Command};
use crate::pure::settings::{Settings, join_path};
use crate::units::AgentName;

/// The runtime's command as the environment asks for it.
fn command_of(place: &Place) -> Result<Vec<OsString>, Failure> {
    match command::parse(&place.settings.command)
        .map_err(|e| Failure::new(exit::CONFIG, "reading MOSAIC_AGENT_COMMAND", e))?
    {
        Command::Words(words) => Ok(words.into_iter().map(OsString::from).collect()),
        Command::Shell(line) => Ok(["/bin/sh", "-c", &line].map(OsString::from).to_vec()),
    }
}

/// Finds the runtime's executable.
fn executable(
    name: &AgentName,
    argv: &[OsString],
    path: &str,
    dir: &Path,
) -> Result<PathBuf, Failure> {
    let first = argv
        .first()
        .map(|a| a.to_string_lossy())
        .unwrap_or_default();
    pty::find_program(&first, path, dir).map_err(|e| {
        let code = match e.kind() {
            std::io::ErrorKind::PermissionDenied => exit::NOT_EXECUTABLE,
            _ => exit::NOT_FOUND,
        };
        Failure::new(code, format!("starting the runtime of {name}"), e).hint(
            "install it, or set MOSAIC_RUNTIME_BIN to its directory or MOSAIC_AGENT_COMMAND to its command",
        )
    })
}

/// Looks for the runtime that the environment asks for, before anything is made.
///
/// # Errors
/// 127 with the PATH that was searched, 126, or 78 for a command line that cannot be read.
pub fn check(place: &Place, name: &AgentName) -> Result<(), Failure> {
    let path = path_for_runtime(&place.settings);
    executable(name, &command_of(place)?, &path, &place.settings.workdir).map(|_| ())
}

/// What a terminal, or tmux, says of itself to the programs in it.
const OF_A_TERMINAL: [&str; 8] = [
    "TERM",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TERMINFO",
    "TMUX",
    "TMUX_PANE",
    "COLUMNS",
    "LINES",
];

/// What to start, and with which environment. Where the runtime has no terminal but ours (`alone`), nothing
/// comes from one that somebody else was started in.
pub fn of(
    options: &RunOptions,
    place: &Place,
    name: &AgentName,
    alone: bool,
) -> Result<Program, Failure> {
    let settings = &place.settings;
    let path = path_for_runtime(settings);
    let argv = match options.command.as_slice() {
        [] => command_of(place)?,
        given => given.to_vec(),
    };
    let dir = if options.handoff.is_some() || std::env::var_os("MOSAIC_AGENT_WORKDIR").is_some() {
        settings.workdir.clone()
    } else {
        std::env::current_dir().unwrap_or_else(|_| settings.workdir.clone())
    };
    std::fs::create_dir_all(&dir).map_err(|e| {
        Failure::new(
            exit::CONFIG,
            format!("making the working directory {}", dir.display()),
            e,
        )
    })?;
    let file = executable(name, &argv, &path, &dir)?;
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(key, _)| {
            let dropped: &[&str] = if alone { &OF_A_TERMINAL } else { &[] };
            let ours = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];
            !ours.iter().chain(dropped).any(|name| key == name)
        })
        .collect();
    if alone {
        env.push(("TERM".into(), "xterm-256color".into()));
        if std::env::var_os("COLORTERM").is_none() {
            env.push(("COLORTERM".into(), "truecolor".into()));
        }
    }
    let sock = place.socket(name).into_os_string();
    for (key, value) in [
        ("PATH", path.into()),
        ("MOSAIC_AGENT_NAME", name.as_str().into()),
        ("MOSAIC_AGENT_RUNTIME", settings.runtime.clone().into()),
        ("MOSAIC_AGENT_MODEL", settings.model.clone().into()),
        ("MOSAIC_AGENT_SOCK", sock),
    ] {
        env.retain(|(k, _)| k != key);
        env.push((key.into(), value));
    }
    Ok(Program {
        path: file,
        argv,
        env,
        dir,
    })
}

/// The PATH the runtime gets: the prefix directories that exist, always first, then the old one.
pub(super) fn path_for_runtime(settings: &Settings) -> String {
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

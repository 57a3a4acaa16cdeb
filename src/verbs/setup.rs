//! Before the loop of `run`: everything the sidecar holds is made or taken here, in an order in which a
//! failure leaves nothing half done.

use std::io::IsTerminal;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::place::Place;
use super::program;
use crate::cli::agent::{RecordOptions, RunOptions};
use crate::failure::{Doing, Failure, exit};
use crate::os::pty::Pty;
use crate::os::signals::Signals;
use crate::os::tty::{self, Outer};
use crate::os::{files, process, replace, socket};
use crate::pure::handover::Handover;
use crate::units::{AgentName, TermSize};

/// In tmux, starts this program again under the runtime's name, so that `pane_current_command` shows
/// it: tmux takes the name from `argv[0]` of the process in front, which is us.
pub fn show_runtime_in_pane(options: &RunOptions) {
    if std::env::var_os("TMUX_PANE").is_none() || !std::io::stdin().is_terminal() {
        return;
    }
    let mut args = std::env::args_os();
    let arg0 = args.next().unwrap_or_default();
    let asked = options.shown_as.clone().or_else(|| {
        let first = options.command.first()?.to_string_lossy().into_owned();
        Some(first.rsplit('/').next().unwrap_or(&first).to_owned())
    });
    let wanted = asked
        .or_else(|| std::env::var("MOSAIC_AGENT_RUNTIME").ok())
        .unwrap_or_else(|| "pi".into());
    if arg0 == *wanted {
        return;
    }
    if let Ok(exe) = std::env::current_exe() {
        // Returns only if it failed; then the pane shows our own name, which harms nothing.
        let failed = std::process::Command::new(exe)
            .arg0(&wanted)
            .args(args)
            .exec();
        tracing::debug!("the pane will show mosaic-agent: {failed}");
    }
}

/// Everything that is held while the runtime lives. What was borrowed is given back when it is dropped.
pub struct Sidecar {
    /// The agent.
    pub name: AgentName,
    /// Where its files are.
    pub place: Place,
    /// Where its socket is.
    pub socket_path: PathBuf,
    /// The tmux socket its pane lives on, if it is in tmux.
    pub tmux_socket: Option<String>,
    /// Held: nobody else owns this agent.
    pub locks: Vec<files::Lock>,
    /// The ack socket.
    pub listener: UnixListener,
    /// The ack socket's path, removed at the end.
    pub bound: socket::Bound,
    /// The signals that concern us.
    pub signals: Signals,
    /// The terminal, in raw mode, if there is one.
    pub outer: Option<Outer>,
    /// The runtime's terminal.
    pub pty: Pty,
    /// The terminal's size.
    pub size: TermSize,
    /// The process we started.
    pub child: i32,
    /// When that was.
    pub started: SystemTime,
    /// The kernel's id of this boot.
    pub boot: String,
    /// Whether the terminal is recorded from the start, and how.
    pub record: RecordOptions,
}

/// Makes and takes everything the sidecar needs, and starts the runtime as the last of it: whatever fails
/// before leaves nothing behind.
///
/// # Errors
/// What kept the runtime from being started.
pub fn prepare(options: &RunOptions) -> Result<Sidecar, Failure> {
    let place = Place::here()?;
    let name = match &options.name {
        Some(name) => name.clone(),
        None => super::place::name_from_environment("run")?,
    };
    let program = program::of(options, &place, &name, !tty::is_here())?;
    place.prepare()?;
    super::log::to_file(&place.settings.run_dir.join(format!("{name}.log")));
    let locks = own(&place, &name)?;
    let socket_path = place.socket(&name);
    let (listener, bound) = socket::bind_private(&socket_path)?;
    let signals = Signals::listen().doing(|| "listening to signals".into())?;
    let outer = Outer::take().doing(|| "taking the terminal into raw mode".into())?;
    let size = match &outer {
        Some(outer) => outer.size(),
        None => options.size.unwrap_or(place.settings.size),
    };
    let pty = Pty::open(size, outer.as_ref().map(Outer::modes))
        .doing(|| "opening a pty for the runtime".into())?;
    process::adopt_orphans();
    let child = pty.spawn(&program).map_err(|e| {
        let code = match e.kind() {
            std::io::ErrorKind::NotFound => exit::NOT_FOUND,
            _ => exit::NOT_EXECUTABLE,
        };
        let what = format!(
            "starting {} in {}",
            program.path.display(),
            program.dir.display()
        );
        Failure::new(code, what, e)
            .hint("check the file's mode, its first line and the working directory")
    })?;
    let mut record = options.record.clone();
    record.path = record.path.or_else(|| place.settings.record.clone());
    Ok(Sidecar {
        // Who has no terminal is in no pane, whatever environment was inherited.
        tmux_socket: outer.as_ref().and_then(|_| tmux_socket()),
        name,
        place,
        socket_path,
        locks,
        listener,
        bound,
        signals,
        outer,
        pty,
        size,
        child,
        started: SystemTime::now(),
        boot: process::boot_id(),
        record,
    })
}

/// Takes over what the program before has left open for the agent of this name.
///
/// # Errors
/// It is not there. The runtime ends with us then.
pub fn take_over(name: AgentName, handover: &Handover) -> Result<Sidecar, Failure> {
    let doing = || format!("taking over {name} from the sidecar before");
    let place = Place::here()?;
    super::log::to_file(&place.settings.run_dir.join(format!("{name}.log")));
    let held = &handover.held;
    let pty = Pty::adopt(replace::adopt(held.master).doing(doing)?);
    let listener = UnixListener::from(replace::adopt(held.listener).doing(doing)?);
    let locks = held
        .locks
        .iter()
        .map(|number| replace::adopt(*number).and_then(files::Lock::adopt))
        .collect::<Result<Vec<_>, _>>()
        .doing(doing)?;
    let socket_path = place.socket(&name);
    let bound = socket::Bound::at(&socket_path);
    let signals = Signals::listen().doing(doing)?;
    replace::release_signals();
    let modes = handover.terminal.as_deref();
    let outer = modes.map(Outer::take_over).transpose().doing(doing)?;
    Ok(Sidecar {
        name: name.clone(),
        place,
        socket_path,
        tmux_socket: handover.tmux.clone(),
        locks,
        listener,
        bound,
        signals,
        outer,
        pty,
        size: TermSize::of(handover.size),
        child: handover.child,
        started: UNIX_EPOCH + Duration::from_millis(handover.started_ms),
        boot: process::boot_id(),
        record: RecordOptions::default(),
    })
}

/// The name of the tmux socket this pane belongs to; empty for the default one.
fn tmux_socket() -> Option<String> {
    let tmux = std::env::var("TMUX").ok()?;
    let path = tmux.split(',').next()?;
    let name = path.rsplit('/').next()?;
    Some(if name == "default" {
        String::new()
    } else {
        name.to_owned()
    })
}

/// The pid of the sidecar that owns an agent, if one does.
pub fn owner(place: &Place, name: &AgentName) -> Option<i32> {
    let path = place.settings.run_dir.join(format!("{name}.lock"));
    files::Lock::holder(&path)?.parse().ok()
}

/// One owner per agent: a lock beside the heartbeat and one beside the socket.
fn own(place: &Place, name: &AgentName) -> Result<Vec<files::Lock>, Failure> {
    let mut dirs = vec![place.settings.run_dir.clone()];
    let sockets = place.socket_dir();
    if sockets != dirs[0] {
        dirs.push(sockets);
    }
    dirs.iter()
        .map(|dir| {
            let path = dir.join(format!("{name}.lock"));
            let taken = files::Lock::take(&path).doing(|| format!("locking {}", path.display()));
            match taken.map_err(|e| e.hint("`mosaic-agent doctor` looks at its directory"))? {
                Ok(lock) => Ok(lock),
                Err(owner) => Err(Failure::new(
                    exit::INTERNAL,
                    format!("starting the agent {name}"),
                    format!("it is owned by the sidecar with pid {owner}"),
                )
                .hint(format!("see `mosaic-agent status {name}`"))),
            }
        })
        .collect()
}

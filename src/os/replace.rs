//! The same process with another program in it: what must stay open stays open, what must wait waits.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};

use super::pidfd::PidFd;
use super::pump::set_nonblocking;

/// A document in memory, to be read by whoever gets the descriptor.
///
/// # Errors
/// No memory or descriptors left.
pub fn document(bytes: &[u8]) -> io::Result<OwnedFd> {
    let fd = memfd_create(c"mosaic-handover", MFdFlags::MFD_CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// Reads a document from its beginning.
///
/// # Errors
/// What reading says.
pub fn read(document: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(document);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a descriptor stays open for the next program.
///
/// # Errors
/// It is not open.
pub fn stays_open(fd: impl AsFd, stays: bool) -> io::Result<()> {
    let flags = match stays {
        true => FdFlag::empty(),
        false => FdFlag::FD_CLOEXEC,
    };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Takes over a descriptor that the program before has left open, and lets it stay with this one only.
///
/// # Errors
/// It is not open, or not left to us: only what stayed open over the exec is.
pub fn adopt(number: i32) -> io::Result<OwnedFd> {
    let bad = || io::Error::from_raw_os_error(nix::libc::EBADF);
    if number <= 2 {
        return Err(bad());
    }
    // SAFETY: fcntl with F_GETFD only looks; a number that is no descriptor gives -1.
    let flags = unsafe { nix::libc::fcntl(number, nix::libc::F_GETFD) };
    if flags != 0 {
        return Err(bad());
    }
    // SAFETY: it is open, and without close-on-exec: nothing in this program opens such descriptors, so it
    // came from the program before, which names each of them once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    stays_open(&fd, false)?;
    Ok(fd)
}

/// From now on signals wait, also over an exec.
pub fn hold_signals() {
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
}

/// The signals that have waited are delivered.
pub fn release_signals() {
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Becomes another program, under the name this one has. Returns only if that failed.
///
/// To be called on the thread that has started the runtime, the first one: the others end, and a parent-death
/// signal would follow the end of that one.
///
/// Not by [`Command`]: where its `exec` fails, SIGPIPE is left deadly, and the next client that goes away kills us.
pub fn become_program(program: &Path, argv: &[OsString]) -> io::Error {
    let text = |text: &OsStr| CString::new(text.as_bytes());
    let argv: Result<Vec<CString>, _> = argv.iter().map(|arg| text(arg)).collect();
    match (text(program.as_os_str()), argv) {
        (Ok(program), Ok(argv)) => match nix::unistd::execv(&program, &argv) {
            Ok(never) => match never {},
            Err(e) => e.into(),
        },
        (Err(e), _) | (_, Err(e)) => e.into(),
    }
}

/// Runs a program with a document on its standard input, at most that long. What it has printed; or why it did not
/// end well, in its own words where it has any.
///
/// # Errors
/// As said.
pub fn ask_program(
    program: &Path,
    args: &[&str],
    document: OwnedFd,
    within: Duration,
) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::from(document))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let in_time = i32::try_from(child.id())
        .ok()
        .and_then(|pid| PidFd::open(pid).ok())
        .is_some_and(|fd| fd.ends_within(within));
    if !in_time {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("it has not answered within {} s", within.as_secs()));
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    match status.success() {
        true => Ok(said(child.stdout)),
        false => Err(format!("{status}: {}", said(child.stderr))),
    }
}

/// What a program that has ended has said. Whoever else may hold its pipe open is not waited for.
fn said(pipe: Option<impl AsFd + Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe.filter(|pipe| set_nonblocking(pipe).is_ok()) {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The number of a descriptor.
pub fn number(fd: &impl AsFd) -> i32 {
    fd.as_fd().as_raw_fd()
}

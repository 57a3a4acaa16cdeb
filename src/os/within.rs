//! What a program prints, within a time: one that hangs is killed and holds nobody up.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::pidfd::PidFd;

/// What a program left behind.
pub struct Printed {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
}

/// Most bytes kept of what is printed. A hundred units have 20 KB.
const KEPT_MAX: usize = 4 * 1024 * 1024;

/// Runs a program to its end; what it complains about is not kept.
///
/// # Errors
/// It cannot be started, or has not ended within the time (`TimedOut`).
pub fn output(command: &mut Command, within: Duration) -> io::Result<Printed> {
    let deadline = Instant::now() + within;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take();
    let read = stdout.map_or(Ok(Vec::new()), |pipe| read_until(pipe, deadline));
    let ended = PidFd::open(child.id().cast_signed())
        .is_ok_and(|fd| fd.ends_within(deadline.saturating_duration_since(Instant::now())));
    if !ended || read.is_err() {
        // It is our child and not reaped: the pid is its own.
        let _ = child.kill();
    }
    let status = child.wait()?;
    match read {
        Ok(_) if !ended => Err(io::ErrorKind::TimedOut.into()),
        Ok(stdout) => Ok(Printed { status, stdout }),
        Err(e) => Err(e),
    }
}

fn read_until(mut pipe: impl Read + AsFd, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let ms = u16::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u16::MAX);
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(ms)) {
            Ok(n) if n > 0 => {}
            Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(e.into()),
        }
        match pipe.read(&mut chunk)? {
            0 => return Ok(bytes),
            n => {
                let room = KEPT_MAX - bytes.len();
                bytes.extend_from_slice(&chunk[..n.min(room)]);
            }
        }
    }
}

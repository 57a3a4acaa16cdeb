//! Everything that descends from a process: to be ended with it.

use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::pidfd::PidFd;
use super::process;

/// Sends a signal to every descendant of a process, not to itself.
///
/// Each is held by a descriptor before it is asked whose child it is: a recycled pid is not hit.
pub fn signal(ancestor: i32, signal: libc::c_int) {
    let mut queue = process::children(ancestor);
    while let Some(pid) = queue.pop() {
        let Ok(fd) = PidFd::open(pid) else { continue };
        if process::descends_from(pid, ancestor) {
            // Before the signal: what has ended has no children any more.
            queue.extend(process::children(pid));
            // One that has ended meanwhile needs none.
            let _ = fd.signal(signal);
        }
    }
}

/// Whether nothing descends from this process any more. It adopts orphans, so whoever descends from it is its
/// child or has a parent that is.
pub fn is_gone() -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::All, look), Err(Errno::ECHILD))
}

//! Everything that descends from us: to be ended with the runtime that has started it.

use std::collections::HashSet;

use nix::errno::Errno;
use nix::libc;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::pidfd::PidFd;
use super::process;

/// Sends a signal to every descendant of this process; how many there were.
///
/// Each is held by a descriptor before it is asked whose child it is: a recycled pid is not hit.
pub fn signal(signal: libc::c_int) -> usize {
    let me = std::process::id().cast_signed();
    let mut queue = process::children(me);
    let mut seen = HashSet::new();
    let mut count = 0;
    while let Some(pid) = queue.pop() {
        if !seen.insert(pid) {
            continue;
        }
        let Ok(fd) = PidFd::open(pid) else { continue };
        if process::descends_from(pid, me) {
            // Before the signal: the children of what has ended are ours at once, and no longer its.
            queue.extend(process::children(pid));
            count += usize::from(fd.signal(signal).is_ok());
        }
    }
    count
}

/// Whether nothing descends from this process any more. It adopts orphans, so whoever descends from it is its
/// child or has a parent that is.
pub fn is_gone() -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    matches!(waitid(Id::All, look), Err(Errno::ECHILD))
}

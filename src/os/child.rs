//! Children that somebody waits for: they do not outlive the one who waits.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::libc;

/// Starts a child that the kernel kills when the calling *thread* ends without having waited for it.
///
/// # Errors
/// It cannot be started.
pub fn spawn_tied(command: &mut Command) -> io::Result<Child> {
    let parent = nix::unistd::getpid();
    // SAFETY: the hook runs in the child between fork and exec; it makes system calls only and neither
    // allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(io::Error::last_os_error());
            }
            // Not retroactive: the parent may have died between fork and here.
            if nix::unistd::getppid() != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
    command.spawn()
}

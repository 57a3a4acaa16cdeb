//! Signals become inputs of the loop: a flag each, and one byte on a socket pair to wake it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::libc;
use signal_hook::low_level::pipe;
use signal_hook::{SigId, flag};

/// The signals the sidecar listens to.
const HEARD: [i32; 6] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGWINCH,
    libc::SIGCHLD,
];

/// Listening to signals; dropping it stops that.
pub struct Signals {
    wake: UnixStream,
    flags: Vec<(i32, Arc<AtomicBool>)>,
    ids: Vec<SigId>,
}

impl Signals {
    /// Starts listening.
    ///
    /// # Errors
    /// No descriptors left.
    pub fn listen() -> io::Result<Signals> {
        let (wake, ring) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut signals = Signals {
            wake,
            flags: Vec::new(),
            ids: Vec::new(),
        };
        for signal in HEARD {
            let raised = Arc::new(AtomicBool::new(false));
            // The flag first, then the byte: whoever is woken finds it set.
            signals
                .ids
                .push(flag::register(signal, Arc::clone(&raised))?);
            signals.ids.push(pipe::register(signal, ring.try_clone()?)?);
            signals.flags.push((signal, raised));
        }
        Ok(signals)
    }

    /// Becomes readable when a signal has come.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Sleeps until a signal has come or `also` is readable, at most that long.
    pub fn wait(&self, also: Option<&impl AsFd>, at_most: Duration) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut fds = vec![PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        fds.extend(also.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        // Rounded up, so that it is over when it has returned; nobody waits for 24 days.
        let ms = at_most.as_micros().div_ceil(1_000);
        let ms = i32::try_from(ms).unwrap_or(i32::MAX);
        let _ = poll(
            &mut fds,
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
        );
    }

    /// The signals that came since the last call; several of one kind count once.
    pub fn take(&mut self) -> Vec<i32> {
        use std::io::Read;
        let mut bytes = [0; 64];
        while matches!(self.wake.read(&mut bytes), Ok(n) if n > 0) {}
        self.flags
            .iter()
            .filter(|(_, raised)| raised.swap(false, Ordering::AcqRel))
            .map(|(signal, _)| *signal)
            .collect()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for id in &self.ids {
            signal_hook::low_level::unregister(*id);
        }
    }
}

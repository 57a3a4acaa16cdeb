//! Signals as bytes on socket pairs, to be waited for with poll(2).

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use signal_hook::low_level::pipe;

/// The signals that the demo handles, in the order in which it looks at them.
const HANDLED: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGCONT,
    Signal::SIGWINCH,
];

/// The receiving ends, one for each signal.
#[derive(Debug)]
pub struct Signals {
    ends: Vec<(Signal, UnixStream)>,
}

impl Signals {
    /// Takes all signals over that the demo handles.
    pub fn install() -> io::Result<Self> {
        let mut ends = Vec::with_capacity(HANDLED.len());
        for signal in HANDLED {
            let (read, write) = UnixStream::pair()?;
            read.set_nonblocking(true)?;
            pipe::register(signal as i32, write)?;
            ends.push((signal, read));
        }
        Ok(Self { ends })
    }

    /// What to wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ends.iter().map(|(_, end)| end.as_fd())
    }

    /// What has arrived, each signal as often as it did.
    pub fn take(&self) -> Vec<Signal> {
        let mut arrived = Vec::new();
        for (signal, mut end) in self.ends.iter().map(|(signal, end)| (*signal, end)) {
            let mut bytes = [0; 64];
            while let Ok(count @ 1..) = end.read(&mut bytes) {
                arrived.extend(std::iter::repeat_n(signal, count));
            }
        }
        arrived
    }
}

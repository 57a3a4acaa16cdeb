//! Many sockets asked the same question by one thread, in one poll: none of them can hold up the others.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket,
};

use super::socket::{Peer, is_us, peer};

/// Most bytes taken from one socket. A status has some 2 KB; whoever says more than this says something else.
const SAID_MAX: usize = 1024 * 1024;

/// How soon a socket is tried again whose queue of connections is full.
const TRY_AGAIN: Duration = Duration::from_millis(5);

/// What one socket said.
pub struct Said {
    /// Who listens there.
    pub peer: Peer,
    /// The lines, without their ends.
    pub lines: Vec<Vec<u8>>,
}

/// A connection under way.
enum Call {
    /// The queue of connections was full.
    Refused,
    /// Asked, what has come back so far, and how many lines that is.
    Open(OwnedFd, Peer, Vec<u8>, usize),
    /// It has been told what came of it.
    Over,
}

/// Sockets that have been asked and have not all answered.
pub struct Crowd<'a> {
    paths: Vec<PathBuf>,
    line: &'a [u8],
    answers: usize,
    calls: Vec<Call>,
}

/// The outcome of one call, by its place among the paths.
pub type Outcome = (usize, io::Result<Said>);

impl<'a> Crowd<'a> {
    /// Asks every socket the same line; each has answered when `answers` lines have come back. The outcomes that
    /// are known at once (nobody listens, somebody else's socket) come with it.
    pub fn ask(paths: Vec<PathBuf>, line: &'a [u8], answers: usize) -> (Crowd<'a>, Vec<Outcome>) {
        let mut crowd = Crowd {
            calls: paths.iter().map(|_| Call::Refused).collect(),
            paths,
            line,
            answers,
        };
        let outcomes = crowd.call_again();
        (crowd, outcomes)
    }

    fn is_over(&self) -> bool {
        self.calls.iter().all(|call| matches!(call, Call::Over))
    }

    /// Waits until at least one more is known, at most that long.
    pub fn listen(&mut self, at_most: Duration) -> Vec<Outcome> {
        let deadline = Instant::now() + at_most;
        loop {
            let mut outcomes = self.call_again();
            outcomes.extend(self.read_what_came(deadline));
            if !outcomes.is_empty() || self.is_over() || Instant::now() >= deadline {
                return outcomes;
            }
        }
    }

    fn call_again(&mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (at, call) in self.calls.iter_mut().enumerate() {
            if !matches!(call, Call::Refused) {
                continue;
            }
            match begin(&self.paths[at], self.line) {
                Ok((fd, peer)) => *call = Call::Open(fd, peer, Vec::new(), 0),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => {
                    *call = Call::Over;
                    outcomes.push((at, Err(e)));
                }
            }
        }
        outcomes
    }

    fn read_what_came(&mut self, deadline: Instant) -> Vec<Outcome> {
        let (mut places, mut fds) = (Vec::new(), Vec::new());
        let mut refused = false;
        for (at, call) in self.calls.iter().enumerate() {
            match call {
                Call::Open(fd, ..) => {
                    places.push(at);
                    fds.push(PollFd::new(fd.as_fd(), PollFlags::POLLIN));
                }
                Call::Refused => refused = true,
                Call::Over => {}
            }
        }
        let mut left = deadline.saturating_duration_since(Instant::now());
        if refused {
            left = left.min(TRY_AGAIN);
        }
        // Whole milliseconds, rounded up: rounded down, the last one would be spent spinning.
        let ms = u16::try_from(left.as_micros().div_ceil(1_000)).unwrap_or(u16::MAX);
        if poll(&mut fds, PollTimeout::from(ms)).unwrap_or(0) <= 0 {
            return Vec::new();
        }
        let ready: Vec<usize> = places
            .into_iter()
            .zip(&fds)
            .filter(|(_, fd)| fd.any().unwrap_or(false))
            .map(|(at, _)| at)
            .collect();
        let mut outcomes = Vec::new();
        for at in ready {
            if let Some(outcome) = read(&mut self.calls[at], self.answers) {
                self.calls[at] = Call::Over;
                outcomes.push((at, outcome));
            }
        }
        outcomes
    }
}

/// Connects and asks. The question goes out before the greeting is read: that saves a turn, and a fresh
/// socket's buffer takes a line whole.
fn begin(path: &PathBuf, line: &[u8]) -> io::Result<(OwnedFd, Peer)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let peer = peer(&fd)?;
    if !is_us(peer) {
        let why = format!("its socket belongs to uid {}", peer.uid);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    match send(fd.as_raw_fd(), line, MsgFlags::MSG_NOSIGNAL) {
        Ok(n) if n == line.len() => Ok((fd, peer)),
        Ok(_) | Err(Errno::EAGAIN) => Err(io::Error::other("it does not take a question")),
        Err(e) => Err(e.into()),
    }
}

/// Takes what has come; the outcome, if that is all there will be.
fn read(call: &mut Call, answers: usize) -> Option<io::Result<Said>> {
    let Call::Open(fd, peer, got, ends) = call else {
        return None;
    };
    let mut chunk = [0; 16 * 1024];
    loop {
        match recv(fd.as_raw_fd(), &mut chunk, MsgFlags::empty()) {
            Ok(0) => return Some(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                got.extend_from_slice(&chunk[..n]);
                *ends += chunk[..n].iter().filter(|b| **b == b'\n').count();
            }
            Err(Errno::EAGAIN) => return None,
            Err(Errno::EINTR) => continue,
            Err(e) => return Some(Err(e.into())),
        }
        if *ends >= answers {
            let lines = got.split(|b| *b == b'\n').take(answers);
            return Some(Ok(Said {
                peer: *peer,
                lines: lines.map(<[u8]>::to_vec).collect(),
            }));
        }
        if got.len() > SAID_MAX {
            let why = "what its socket says has no end";
            return Some(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
        }
    }
}

//! The pump's thread: what is read and written next, and in which order.
//!
//! Everything that is told or asked between it and the [`Pump`](super::Pump) goes through the mailbox. It does not
//! know who asks for a write or why, and it never looks into the bytes.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Event, Leftover, Order, PENDING_MAX, READ, Shared};

/// Bytes that may wait for the model before the runtime is no longer read.
const UNPARSED_MAX: usize = 256 * 1024;

/// A pty whose slave nobody holds open reports a hang-up for ever, and can come back to life. It is
/// asked again this often while the runtime lives.
const HANGUP_RETRY: Duration = Duration::from_millis(100);

/// After the runtime's end, its output counts as drained when the pty was silent this long: the kernel
/// hands bytes over from a work queue, and a descendant that holds the slave keeps EIO away.
const DRAINED_AFTER: Duration = Duration::from_millis(60);

/// Bytes waiting to be written: a vector and how far it is written.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    done: usize,
}

impl Pending {
    fn of(bytes: Vec<u8>) -> Pending {
        Pending { bytes, done: 0 }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    fn is_empty(&self) -> bool {
        self.done == self.bytes.len()
    }

    fn room(&self) -> usize {
        PENDING_MAX.saturating_sub(self.bytes.len() - self.done)
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn wrote(&mut self, n: usize) {
        self.done += n;
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.shrink_to(READ);
            self.done = 0;
        } else if self.done > PENDING_MAX {
            self.bytes.drain(..self.done);
            self.done = 0;
        }
    }
}

/// A write of ours on its way to the runtime.
struct Writing {
    order: Order,
    done: usize,
    cancelled: bool,
}

impl Writing {
    /// Once it has begun, and as long as it is not called off.
    fn makes_keys_wait(&self) -> bool {
        let asked = self.order.keys_wait.is_some_and(|wait| !wait.is_zero());
        asked && self.done > 0 && !self.cancelled
    }
}

/// The thread and what it holds. It can be stopped, looked at and set going again.
pub(super) struct Worker {
    pub(super) outer: Option<OwnedFd>,
    pub(super) master: OwnedFd,
    shared: Arc<Shared>,
    to_outer: Pending,
    to_inner: Pending,
    writing: Option<Writing>,
    /// Bytes read from the outer terminal so far.
    outer_count: u64,
    /// Until then the outer terminal is not read.
    keys_wait: Option<Instant>,
    /// The master reported a hang-up; ask again then.
    hung_up: Option<Instant>,
    last_output: Instant,
    inner_gone: bool,
}

/// What a non-blocking read or write came to.
enum Io {
    Some(usize),
    Later,
    Gone,
}

fn io(result: nix::Result<usize>) -> Io {
    match result {
        Ok(0) => Io::Gone,
        Ok(n) => Io::Some(n),
        Err(Errno::EAGAIN | Errno::EINTR) => Io::Later,
        Err(_) => Io::Gone,
    }
}

impl Worker {
    /// Between a terminal (if there is one) and a pty master, with bytes that were read already.
    pub(super) fn new(
        outer: Option<OwnedFd>,
        master: OwnedFd,
        shared: &Arc<Shared>,
        to_outer: Vec<u8>,
        to_inner: Vec<u8>,
    ) -> Worker {
        Worker {
            outer,
            master,
            shared: Arc::clone(shared),
            to_outer: Pending::of(to_outer),
            to_inner: Pending::of(to_inner),
            writing: None,
            outer_count: 0,
            keys_wait: None,
            hung_up: None,
            last_output: Instant::now(),
            inner_gone: false,
        }
    }

    /// What it has read and not written, and what it was handed and may not drop: see [`Pump::left`](super::Pump::left).
    pub(super) fn left(&self) -> Leftover {
        let mut to_inner = self.to_inner.rest().to_vec();
        let mailbox = self.shared.mailbox();
        if let Some(writing) = &self.writing
            && (writing.done > 0 || writing.order.if_outer.is_none())
        {
            // Behind what a person has typed meanwhile only if it has not begun.
            let at = if writing.done > 0 { 0 } else { to_inner.len() };
            let rest = writing.order.bytes[writing.done..].iter().copied();
            to_inner.splice(at..at, rest);
        }
        for order in &mailbox.orders {
            if order.if_outer.is_none() {
                to_inner.extend_from_slice(&order.bytes);
            }
        }
        Leftover {
            to_outer: self.to_outer.rest().to_vec(),
            to_inner,
            keys: mailbox.keys.clone(),
        }
    }

    /// Pumps until everything is drained, or until it is to stand still.
    pub(super) fn run(&mut self) {
        let mut buffer = vec![0; READ];
        let mut drain_until: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let mut wanted = Wanted::default();
            {
                let mut mailbox = self.shared.mailbox();
                drain_until = drain_until.or(mailbox.drain_until);
                if mailbox.stops {
                    return;
                }
                let room = mailbox.batch.bytes.len() < UNPARSED_MAX;
                mailbox.pump_waits = !room;
                if self.writing.is_none()
                    && self.to_inner.is_empty()
                    && let Some(order) = mailbox.orders.pop_front()
                {
                    self.writing = Some(Writing {
                        order,
                        done: 0,
                        cancelled: false,
                    });
                }
                if let (Some(writing), Some(id)) = (&mut self.writing, mailbox.cancel)
                    && writing.order.id == id
                {
                    mailbox.cancel = None;
                    writing.cancelled = true;
                }
                if std::mem::take(&mut mailbox.keys_pass) {
                    self.keys_wait = None;
                }
                wanted.read_inner = room && self.to_outer.room() > 0 && !self.inner_gone;
            }
            if let Some(deadline) = drain_until {
                let silent = now.saturating_duration_since(self.last_output) >= DRAINED_AFTER;
                let printed = self.inner_gone || (silent && !wanted.read_inner_blocked());
                let shown = self.to_outer.is_empty() || self.outer.is_none();
                if (printed && shown) || now >= deadline {
                    self.tell(Event::Drained, &[]);
                    return;
                }
            }
            self.keys_wait = self.keys_wait.filter(|until| now < *until);
            let keys_wait = self.keys_wait.is_some()
                || self.writing.as_ref().is_some_and(Writing::makes_keys_wait);
            wanted.read_outer = self.to_inner.room() > 0 && !keys_wait;
            if wanted.read_outer {
                self.take_keys();
            }
            wanted.write_outer = !self.to_outer.is_empty();
            wanted.write_inner = !self.to_inner.is_empty() || self.writing.is_some();
            let ready = self.wait(&wanted, drain_until, now);
            if ready.woken {
                let _ = self.shared.wake_pump.read();
            }
            // Outer input before our own writes: their condition must know of it.
            if ready.outer_in {
                self.read_outer(&mut buffer);
            }
            if ready.inner_out {
                self.write_inner();
            }
            if ready.inner_in {
                self.read_inner(&mut buffer, drain_until.is_some());
            }
            if ready.outer_out {
                self.write_outer();
            }
        }
    }

    fn wait(&mut self, wanted: &Wanted, drain_until: Option<Instant>, now: Instant) -> Ready {
        let mut inner = PollFlags::empty();
        let hung_up = self.hung_up.is_some_and(|until| now < until);
        if wanted.read_inner && !hung_up {
            inner |= PollFlags::POLLIN;
        }
        if wanted.write_inner && !hung_up {
            inner |= PollFlags::POLLOUT;
        }
        let mut outer = PollFlags::empty();
        if wanted.read_outer {
            outer |= PollFlags::POLLIN;
        }
        if wanted.write_outer {
            outer |= PollFlags::POLLOUT;
        }
        // A descriptor that is not asked for anything would still report a hang-up, for ever.
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::new(
            self.shared.wake_pump.as_fd(),
            PollFlags::POLLIN,
        ));
        let mut inner_at = None;
        if !inner.is_empty() {
            inner_at = Some(fds.len());
            fds.push(PollFd::new(self.master.as_fd(), inner));
        }
        let mut outer_at = None;
        if let Some(fd) = self.outer.as_ref().filter(|_| !outer.is_empty()) {
            outer_at = Some(fds.len());
            fds.push(PollFd::new(fd.as_fd(), outer));
        }
        let timeout = [
            self.hung_up
                .filter(|_| wanted.read_inner || wanted.write_inner)
                .map(|until| until.saturating_duration_since(now)),
            self.keys_wait
                .map(|until| until.saturating_duration_since(now)),
            drain_until.map(|until| until.saturating_duration_since(now).min(DRAINED_AFTER / 2)),
        ]
        .into_iter()
        .flatten()
        .min()
        .map_or(PollTimeout::NONE, |d| {
            PollTimeout::try_from(d + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        let _ = poll(&mut fds, timeout);
        let got = |at: Option<usize>| {
            at.and_then(|i| fds.get(i))
                .and_then(PollFd::revents)
                .unwrap_or(PollFlags::empty())
        };
        // Any readiness, hang-up and error included, means: read it and see.
        let odd = PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL;
        let (inner_got, outer_got) = (got(inner_at), got(outer_at));
        Ready {
            woken: got(Some(0)).contains(PollFlags::POLLIN),
            inner_in: wanted.read_inner && inner_got.intersects(PollFlags::POLLIN | odd),
            inner_out: wanted.write_inner && inner_got.intersects(PollFlags::POLLOUT | odd),
            outer_in: outer_got.intersects(PollFlags::POLLIN | odd),
            outer_out: outer_got.intersects(PollFlags::POLLOUT | odd),
        }
    }

    fn tell(&self, event: Event, bytes: &[u8]) {
        let mut mailbox = self.shared.mailbox();
        let asleep = mailbox.batch.events.is_empty();
        mailbox.batch.bytes.extend_from_slice(bytes);
        mailbox.batch.events.push(event);
        drop(mailbox);
        if asleep {
            let _ = self.shared.wake_model.write(1);
        }
    }

    fn read_outer(&mut self, buffer: &mut [u8]) {
        let Some(fd) = &self.outer else { return };
        let room = self.to_inner.room().min(buffer.len());
        match io(nix::unistd::read(fd, &mut buffer[..room])) {
            Io::Later => {}
            Io::Gone => {
                self.outer = None;
                self.to_outer = Pending::default();
                self.tell(Event::OuterGone, &[]);
            }
            Io::Some(n) => self.pass_on(&buffer[..n]),
        }
    }

    /// The keys that came another way.
    fn take_keys(&mut self) {
        let mut keys = std::mem::take(&mut self.shared.mailbox().keys);
        if keys.is_empty() {
            return;
        }
        let rest = keys.split_off(keys.len().min(self.to_inner.room()));
        self.shared.mailbox().keys.splice(..0, rest);
        self.pass_on(&keys);
    }

    /// Hands on what a person has typed. Whatever is written on a condition knows of it from now on.
    fn pass_on(&mut self, keys: &[u8]) {
        self.outer_count += keys.len() as u64;
        self.to_inner.push(keys);
        self.write_inner();
        self.tell(Event::Outer(keys.len()), keys);
    }

    fn write_inner(&mut self) {
        // A write of ours that has begun goes out whole before anything else.
        if self.writing.as_ref().is_some_and(|w| w.done > 0) {
            self.write_order();
            if self.writing.is_some() {
                return;
            }
        }
        if !self.to_inner.is_empty() {
            match io(nix::unistd::write(&self.master, self.to_inner.rest())) {
                Io::Some(n) => self.to_inner.wrote(n),
                Io::Later => {}
                Io::Gone => self.hang_up(),
            }
        }
        if self.to_inner.is_empty() {
            self.write_order();
        }
    }

    fn write_order(&mut self) {
        let Some(writing) = &mut self.writing else {
            return;
        };
        let id = writing.order.id;
        if writing.done == 0 {
            if writing.cancelled {
                self.writing = None;
                self.tell(Event::Cancelled(id), &[]);
                return;
            }
            if writing
                .order
                .if_outer
                .is_some_and(|seen| self.outer_count > seen)
            {
                self.writing = None;
                self.tell(Event::Refused(id), &[]);
                return;
            }
        }
        let tail_at = writing.order.bytes.len() - writing.order.tail;
        if writing.cancelled && writing.done < tail_at {
            writing.done = tail_at;
        }
        match io(nix::unistd::write(
            &self.master,
            &writing.order.bytes[writing.done..],
        )) {
            Io::Some(n) => writing.done += n,
            Io::Later => {}
            Io::Gone => self.hang_up(),
        }
        let Some(writing) = &self.writing else { return };
        if writing.done == writing.order.bytes.len() {
            if let Some(wait) = writing.order.keys_wait {
                self.keys_wait = Some(Instant::now() + wait);
            }
            let event = if writing.cancelled {
                Event::Cancelled(id)
            } else {
                Event::Written(id, Instant::now())
            };
            self.writing = None;
            self.tell(event, &[]);
        }
    }

    fn read_inner(&mut self, buffer: &mut [u8], ending: bool) {
        let room = self.to_outer.room().min(buffer.len());
        match io(nix::unistd::read(&self.master, &mut buffer[..room])) {
            Io::Later => {}
            Io::Gone if ending => self.inner_gone = true,
            Io::Gone => self.hang_up(),
            Io::Some(n) => {
                self.hung_up = None;
                self.last_output = Instant::now();
                if self.outer.is_some() {
                    let mut bytes = &buffer[..n];
                    if self.to_outer.is_empty() {
                        bytes = &bytes[self.write_now(bytes)..];
                    }
                    self.to_outer.push(bytes);
                }
                self.tell(Event::Output(n), &buffer[..n]);
            }
        }
    }

    fn hang_up(&mut self) {
        self.hung_up = Some(Instant::now() + HANGUP_RETRY);
    }

    /// Writes to the outer terminal what it takes at once.
    fn write_now(&self, bytes: &[u8]) -> usize {
        let Some(fd) = &self.outer else { return 0 };
        match io(nix::unistd::write(fd, bytes)) {
            Io::Some(n) => n,
            // A terminal that is gone says so on the reading side too, which is where it is handled.
            Io::Later | Io::Gone => 0,
        }
    }

    fn write_outer(&mut self) {
        if !self.to_outer.is_empty() {
            let n = self.write_now(self.to_outer.rest());
            self.to_outer.wrote(n);
        }
    }
}

#[derive(Default)]
struct Wanted {
    read_inner: bool,
    write_inner: bool,
    read_outer: bool,
    write_outer: bool,
}

impl Wanted {
    /// Whether the runtime's output is not read at the moment though there may be some.
    fn read_inner_blocked(&self) -> bool {
        !self.read_inner
    }
}

struct Ready {
    woken: bool,
    inner_in: bool,
    inner_out: bool,
    outer_in: bool,
    outer_out: bool,
}

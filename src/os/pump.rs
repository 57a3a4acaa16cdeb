//! The byte pump: outer terminal to inner pty and back, on a thread of its own.
//!
//! It knows nothing but bytes. Output goes to the terminal first and is handed to the model afterwards,
//! so the pane never waits for a screen to be parsed; a broken model cannot stop it. Every buffer is
//! bounded and nothing here ever blocks on a write: a terminal that does not take bytes stops the
//! reading of the runtime, as if there were no sidecar between them.
//!
//! One thing beyond copying is promised: a write handed in by [`Pump::inject`] goes out whole, with no
//! byte of the outer terminal inside it, and only if no outer byte has come that its author has not
//! seen. What a person types meanwhile is held for those milliseconds and delivered behind it; a write
//! may also ask for the person's keys to wait on after it, until the next write or for a given time.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// One read: a full read of a pty master returns at most 4,095 bytes most of the time, 7.9 KB at best.
const READ: usize = 16 * 1024;

/// Bytes that may wait for a slow terminal or runtime before the other side is no longer read.
const PENDING_MAX: usize = 64 * 1024;

/// Bytes that may wait for the model before the runtime is no longer read.
const UNPARSED_MAX: usize = 256 * 1024;

/// A pty whose slave nobody holds open reports a hang-up for ever, and can come back to life. It is
/// asked again this often while the runtime lives.
const HANGUP_RETRY: Duration = Duration::from_millis(100);

/// After the runtime's end, its output counts as drained when the pty was silent this long: the kernel
/// hands bytes over from a work queue, and a descendant that holds the slave keeps EIO away.
const DRAINED_AFTER: Duration = Duration::from_millis(60);

/// Something the pump saw, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The runtime printed this many bytes of [`Batch::bytes`].
    Output(usize),
    /// The outer terminal sent this many bytes of [`Batch::bytes`].
    Outer(usize),
    /// A write was completed at this moment.
    Written(u64, Instant),
    /// A write was not begun: outer bytes had come in between.
    Refused(u64),
    /// The rest of a write was dropped on request.
    Cancelled(u64),
    /// The outer terminal is gone (end of file or hang-up).
    OuterGone,
    /// Everything the runtime printed has been delivered, or the time for it is over; the pump ends.
    Drained,
}

/// What the pump saw since the last [`Pump::take`].
#[derive(Debug, Default)]
pub struct Batch {
    /// The bytes of all events, one after the other.
    pub bytes: Vec<u8>,
    /// The events.
    pub events: Vec<Event>,
}

impl Batch {
    /// Empties it and gives back memory a flood has left.
    fn reset(&mut self) {
        self.events.clear();
        self.bytes.clear();
        self.bytes.shrink_to(READ);
        self.events.shrink_to(64);
    }
}

struct Order {
    id: u64,
    bytes: Vec<u8>,
    /// How many bytes at the end go out even after a cancel (the end bracket of a paste).
    tail: usize,
    if_outer: Option<u64>,
    keys_wait: Option<Duration>,
}

#[derive(Default)]
struct Mailbox {
    batch: Batch,
    /// Keys that a person types elsewhere, as if they came from the outer terminal.
    keys: Vec<u8>,
    pump_waits: bool,
    orders: VecDeque<Order>,
    cancel: Option<u64>,
    keys_pass: bool,
    drain_until: Option<Instant>,
    stops: bool,
}

struct Shared {
    mailbox: Mutex<Mailbox>,
    wake_pump: EventFd,
    wake_model: EventFd,
}

impl Shared {
    /// A panic while the lock is held leaves plain data behind, nothing half done.
    fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running pump.
pub struct Pump {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Worker>>,
    /// It stands still.
    stopped: Option<Worker>,
}

/// What was read and not written yet when a pump was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftover {
    /// For the terminal.
    pub to_outer: Vec<u8>,
    /// For the runtime.
    pub to_inner: Vec<u8>,
    /// Keys of [`Pump::type_by_hand`] that nobody has been told of yet.
    pub keys: Vec<u8>,
}

impl Pump {
    /// Starts pumping between a non-blocking outer terminal (if there is one) and a non-blocking pty master, with
    /// what another pump has left.
    ///
    /// # Errors
    /// No descriptors or threads left.
    pub fn start(outer: Option<OwnedFd>, master: OwnedFd, left: Leftover) -> std::io::Result<Pump> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let shared = Arc::new(Shared {
            mailbox: Mutex::default(),
            wake_pump: EventFd::from_flags(flags)?,
            wake_model: EventFd::from_flags(flags)?,
        });
        let worker = Worker {
            outer,
            master,
            shared: Arc::clone(&shared),
            to_outer: Pending::of(left.to_outer),
            to_inner: Pending::of(left.to_inner),
            writing: None,
            outer_count: 0,
            keys_wait: None,
            hung_up: None,
            last_output: Instant::now(),
            inner_gone: false,
        };
        shared.mailbox().keys = left.keys;
        let mut pump = Pump {
            shared,
            thread: None,
            stopped: Some(worker),
        };
        pump.go_on()?;
        Ok(pump)
    }

    /// Starts, or goes on after [`Pump::stop`].
    ///
    /// # Errors
    /// No threads left.
    pub fn go_on(&mut self) -> std::io::Result<()> {
        if let Some(mut worker) = self.stopped.take() {
            self.shared.mailbox().stops = false;
            let thread = std::thread::Builder::new()
                .name("pump".into())
                .stack_size(128 * 1024)
                .spawn(move || {
                    worker.run();
                    worker
                })?;
            self.thread = Some(thread);
        }
        Ok(())
    }

    /// Stands still: nothing is read or written any more. What was seen until then can be taken.
    pub fn stop(&mut self) {
        self.shared.mailbox().stops = true;
        self.wake();
        self.stopped = self.thread.take().and_then(|thread| thread.join().ok());
    }

    /// What a pump that stands still has read and not written, unconditional writes that it was handed included, and
    /// the rest of one that has begun.
    pub fn left(&self) -> Leftover {
        let Some(worker) = &self.stopped else {
            return Leftover::default();
        };
        let mut to_inner = worker.to_inner.rest().to_vec();
        let mailbox = self.shared.mailbox();
        if let Some(writing) = &worker.writing
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
            to_outer: worker.to_outer.rest().to_vec(),
            to_inner,
            keys: mailbox.keys.clone(),
        }
    }

    /// Becomes readable when there is something to take.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.shared.wake_model.as_fd()
    }

    /// Swaps out everything seen since the last call.
    pub fn take(&self, batch: &mut Batch) {
        batch.reset();
        // Clearing first: what arrives after the swap wakes again.
        let _ = self.shared.wake_model.read();
        let mut mailbox = self.shared.mailbox();
        std::mem::swap(&mut mailbox.batch, batch);
        if std::mem::take(&mut mailbox.pump_waits) {
            drop(mailbox);
            self.wake();
        }
    }

    /// Hands in a write.
    ///
    /// The last `tail` bytes go out even if it is cancelled half-way. Nothing is written if more than
    /// `if_outer` bytes have come from the outer terminal. After it, the outer terminal is not read for
    /// `keys_wait`; `None` leaves that as it is.
    pub fn inject(
        &self,
        id: u64,
        bytes: Vec<u8>,
        tail: usize,
        if_outer: Option<u64>,
        keys_wait: Option<Duration>,
    ) {
        self.shared.mailbox().orders.push_back(Order {
            id,
            bytes,
            tail,
            if_outer,
            keys_wait,
        });
        self.wake();
    }

    /// Takes a person's keys that come another way than through the outer terminal, and treats them like those: they
    /// are told as [`Event::Outer`], stand in the condition of every later write, and wait where those wait. False:
    /// so many wait already that they were not taken.
    pub fn type_by_hand(&self, keys: &[u8]) -> bool {
        let mut mailbox = self.shared.mailbox();
        let taken = mailbox.keys.len() + keys.len() <= PENDING_MAX;
        if taken {
            mailbox.keys.extend_from_slice(keys);
            drop(mailbox);
            self.wake();
        }
        taken
    }

    /// A person's keys need not wait any longer.
    pub fn let_keys_pass(&self) {
        self.shared.mailbox().keys_pass = true;
        self.wake();
    }

    /// Drops what is not written yet of that write.
    pub fn cancel(&self, id: u64) {
        self.shared.mailbox().cancel = Some(id);
        self.wake();
    }

    /// The runtime has ended: deliver what it printed, at most until `deadline`, then end.
    pub fn drain(&self, deadline: Instant) {
        self.shared.mailbox().drain_until = Some(deadline);
        self.wake();
    }

    /// Waits for the pump's end; call after [`Event::Drained`].
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn wake(&self) {
        // Fails only if the counter is full, and then it is awake anyway.
        let _ = self.shared.wake_pump.write(1);
    }
}

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

struct Worker {
    outer: Option<OwnedFd>,
    master: OwnedFd,
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
    fn run(&mut self) {
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

/// Makes reads and writes on this open file return at once.
///
/// # Errors
/// The descriptor is not open.
pub fn set_nonblocking(fd: impl AsFd) -> std::io::Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let fd = fd.as_fd();
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

#[cfg(test)]
mod tests;

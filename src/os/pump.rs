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

use nix::sys::eventfd::{EfdFlags, EventFd};

mod worker;

use worker::Worker;

/// One read: a full read of a pty master returns at most 4,095 bytes most of the time, 7.9 KB at best.
const READ: usize = 16 * 1024;

/// Bytes that may wait for a slow terminal or runtime before the other side is no longer read.
const PENDING_MAX: usize = 64 * 1024;

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

/// A write that was handed in.
struct Order {
    id: u64,
    bytes: Vec<u8>,
    /// How many bytes at the end go out even after a cancel (the end bracket of a paste).
    tail: usize,
    if_outer: Option<u64>,
    keys_wait: Option<Duration>,
}

/// What lies between the thread and everybody else.
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
        let worker = Worker::new(outer, master, &shared, left.to_outer, left.to_inner);
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
        self.stopped.as_ref().map(Worker::left).unwrap_or_default()
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

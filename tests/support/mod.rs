//! What the integration tests share: a sandbox of their own, a terminal of their own, and ways to wait.
//!
//! Nothing here sleeps to synchronise: every wait has a condition, a deadline and a name ([`until`]).

#![allow(
    dead_code,
    unused_imports,
    reason = "every test crate uses a part of it, none uses it all"
)]

use std::time::{Duration, Instant};

mod client;
mod demo;
pub mod far;
mod fleet;
mod manager;
mod pane;
mod process;
mod roster;
pub mod runtimes;
mod sandbox;

pub use client::Client;
pub use demo::{Demo, Log, Receipt};
pub use fleet::{Fleet, HOLDER, scope, unit};
pub use manager::Managed;
pub use pane::Pane;
pub use process::{Output, Running, code, io_count, kill, pid_is_alive, process_state};
pub use roster::flagged;
pub use runtimes::skip;
pub use sandbox::{Heartbeat, Sandbox};

/// The program under test.
pub const AGENT: &str = env!("CARGO_BIN_EXE_mosaic-agent");
/// The program whose `demo-tui` is the runtime.
pub const FLEET: &str = env!("CARGO_BIN_EXE_mosaic-fleet");
/// What watches over an agent in its unit.
pub const MONITOR: &str = env!("CARGO_BIN_EXE_mosaic-monitor");

/// For things that take milliseconds, on a machine that others keep busy.
pub const SOON: Duration = Duration::from_secs(15);
/// For things that take seconds.
pub const LATER: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Whole milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Waits until something is so, and returns how long that took.
///
/// # Panics
/// It was not so within the time.
#[track_caller]
pub fn until(within: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let since = Instant::now();
    get(within, what, || is_so().then_some(()));
    since.elapsed()
}

/// Waits until there is something, and returns it.
///
/// # Panics
/// There was nothing within the time.
#[track_caller]
pub fn get<T>(within: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

/// Looks again and again, for that long: it must be so every time.
///
/// # Panics
/// It was not so once.
#[track_caller]
pub fn always(during: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + during;
    while Instant::now() < deadline {
        assert!(is_so(), "for a moment this was not so: {what}");
        std::thread::sleep(LOOK);
    }
}

//! The service manager's notification socket, as sd_notify(3) describes it.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where a service manager listens, if one started us.
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// By `$NOTIFY_SOCKET` (a path, or an abstract name after `@`) and `$WATCHDOG_USEC`, which counts only
    /// where `$WATCHDOG_PID` is ours or not set.
    pub fn from_environment() -> Notify {
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(|path| {
            let address = match path.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
                _ => SocketAddr::from_pathname(&path),
            };
            Some((UnixDatagram::unbound().ok()?, address.ok()?))
        });
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC")
            .filter(|us| ours && *us > 0)
            .map(Duration::from_micros);
        Notify { to, watchdog }
    }

    /// How long the manager waits for the next `WATCHDOG=1`, if it does.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Sends assignments, one a line (`READY=1`). Without a manager nothing happens.
    ///
    /// # Errors
    /// The manager does not listen.
    pub fn tell(&self, assignments: &str) -> io::Result<()> {
        match &self.to {
            Some((socket, address)) => socket
                .send_to_addr(assignments.as_bytes(), address)
                .map(drop),
            None => Ok(()),
        }
    }
}

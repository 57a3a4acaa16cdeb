//! What touches the system: every descriptor, signal, process, file and `unsafe` block.
//!
//! Nothing here decides: no glyph, verdict or state is known in this folder. What is borrowed from the
//! system (raw mode, a socket path, a lock) is a value whose `Drop` gives it back.

#![allow(unsafe_code)]

pub mod brief;
pub mod bus;
pub mod child;
pub mod crowd;
pub mod family;
pub mod files;
pub mod lines;
pub mod locks;
pub mod notify;
pub mod pidfd;
pub mod process;
pub mod pty;
pub mod pump;
pub mod replace;
pub mod rewrite;
pub mod signals;
pub mod socket;
pub mod stage;
pub mod systemd;
pub mod tmux;
pub mod tty;
pub mod watch;
pub mod within;

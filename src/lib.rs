//! mosaic-agent: is this agent really alive, and did it really take my message?
//!
//! A tiny sidecar sits in a tmux pane between tmux's pty and an inner pty in which a coding-agent TUI
//! runs. It passes bytes through untouched, models the screen, writes a heartbeat, and answers on a
//! private Unix socket.
//!
//! # The house
//!
//! | room        | what lives there                                                    | may use             |
//! |-------------|---------------------------------------------------------------------|---------------------|
//! | [`pure`]    | what decides: screen, composer, delivery, verdict, heartbeat, wire   | `units`, `failure`  |
//! | [`os`]      | what touches the system: pty, tty, pump, signals, socket, files, tmux | `units`, `failure` |
//! | [`verbs`]   | the corridor where the two meet: one file a verb                     | all of them         |
//! | [`cli`]     | arguments, as typed                                                 | `units`, `failure`  |
//! | [`demo`]    | the embedded demo runtime, a TUI of its own                          | `os::tty`           |
//! | [`failure`], [`units`] | what goes wrong, with its exit code; names and sizes that everyone shares | nobody |
//!
//! `pure` holds no descriptor, clock, thread or environment: bytes and a time in, values out. `os`
//! holds all of them and decides nothing; every `unsafe` block is there. The two never meet but in `verbs`.
//!
//! # The flows
//!
//! ```text
//! a byte out   os::pump  inner pty -> terminal        first, unchanged: the pane never waits for us
//!              then       -> verbs::run -> pure::harness -> screen -> view -> state, verdict
//! a key in     os::pump  terminal -> inner pty        unchanged; the harness is told that a person types
//! a message    verbs::send -> os::socket -> verbs::server -> verbs::run -> pure::harness
//!              -> pure::orders -> pure::delivery (gate, paste, echo, Enter, judge) -> Effect::Type -> os::pump -> inner pty
//!              -> ... -> pure::judge -> Receipt -> Effect::Answer -> verbs::server -> verbs::send
//!              before its first byte: Effect::Journal -> verbs::journal, which the next sidecar reads
//!              meanwhile: the runtime's own record -> verbs::records -> pure::judge
//!              to another host: verbs::far -> ssh -> `send` there; from a model: verbs::mcp -> `send` as a child
//! a beat       pure::harness (Effect::Beat) -> pure::beat -> os::files, written beside and renamed
//! a reset      verbs::reset -> `status`, `explain`, `screen` -> pure::reset -> `keys` -> ... -> the same, until it is proven
//! a picture    verbs::viewer -> `screen` with cells -> verbs::run::polls -> pure::cells -> pure::mirror -> pure::viewport -> os::stage
//! a hand       verbs::viewer::hand -> `input` -> verbs::run::takeover -> os::pump, where it is a key of the terminal
//! a past       verbs::run::past -> pure::events; pure::screen -> pure::leaving -> pure::history; both by verbs::run::polls
//! an upgrade   verbs::upgrade -> `upgrade` -> verbs::run::upgrade -> pure::handover -> os::replace: the same process, and in it
//!              the next binary: verbs::run (take_over) -> pure::harness::carried
//!              verbs::upgrade::monitor -> SIGHUP -> verbs::supervise::next -> os::replace: the unit's monitor follows
//! a launch     verbs::launch -> os::tmux new-session -> verbs::run; environment and readiness by verbs::handoff
//! a unit       verbs::supervise -> `launch` as a child -> os::pidfd, verbs::ask -> os::notify -> systemd
//!              verbs::launch -> verbs::scope -> os::systemd: the pane's process gets a scope of its own
//! a fleet      verbs::ps -> os::{crowd, bus, tmux, locks, process} -> pure::roster (rows, flags) -> table, JSON, or screen
//! ```
//!
//! `main.rs` is `mosaic-agent`, `fleet.rs` is `mosaic-fleet`, `monitor.rs` is `mosaic-monitor`: each parses, performs, prints one error and returns one code.
//! Open [`verbs::run`] first: the one loop in which all of it happens.
#![deny(unsafe_code)]

pub mod cli;
pub mod demo;
pub mod failure;
pub mod os;
pub mod pure;
pub mod units;
pub mod verbs;

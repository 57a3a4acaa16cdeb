//! What decides: bytes and a clock in, values out.
//!
//! Nothing in this folder holds a descriptor, reads a clock, starts a thread or looks at the
//! environment; the caller hands in `now`. A ten-minute session plays in a millisecond, and a recording
//! from the field replays exactly as it happened live.
#![forbid(unsafe_code)]

pub mod answers;
pub mod beat;
pub mod cast;
pub mod command;
pub mod dbus;
pub mod delivery;
pub mod explain;
pub mod extension;
pub mod followed;
pub mod generic;
pub mod harness;
pub mod hook;
pub mod hookfile;
pub mod journal;
pub mod jsonc;
pub mod judge;
pub mod keyboard;
pub mod ledger;
pub mod limits;
pub mod message;
pub mod observed;
pub mod orders;
pub mod profile;
pub mod quit;
pub mod receipt;
pub mod record;
pub mod recorded;
pub mod roster;
pub mod screen;
pub mod scroll;
pub mod settings;
pub mod sight;
pub mod supervise;
pub mod table;
pub mod text;
pub mod unit_file;
pub mod view;
pub mod whole;
pub mod wire;

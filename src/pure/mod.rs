//! What decides: bytes and a clock in, values out.
//!
//! Nothing in this folder holds a descriptor, reads a clock, starts a thread or looks at the
//! environment; the caller hands in `now`. A ten-minute session plays in a millisecond, and a recording
//! from the field replays exactly as it happened live.
#![forbid(unsafe_code)]

pub mod answers;
pub mod banner;
pub mod beat;
pub mod cast;
pub mod cells;
pub mod command;
pub mod dbus;
pub mod delivery;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod extension;
pub mod followed;
pub mod generic;
pub mod handover;
pub mod harness;
pub mod history;
pub mod hook;
pub mod hookfile;
pub mod journal;
pub mod jsonc;
pub mod judge;
pub mod keyboard;
pub mod keys;
pub mod leaving;
pub mod ledger;
pub mod limits;
pub mod mcp;
pub mod message;
pub mod mirror;
pub mod observed;
pub mod orders;
pub mod powers;
pub mod profile;
pub mod quit;
pub mod receipt;
pub mod record;
pub mod recorded;
pub mod redraw;
pub mod remote;
pub mod reset;
pub mod roster;
pub mod schemas;
pub mod screen;
pub mod scroll;
pub mod settings;
pub mod sgr;
mod shown;
pub mod sight;
pub mod supervise;
pub mod svg;
pub mod table;
pub mod text;
pub mod unfinished;
pub mod unit_file;
pub mod view;
pub mod viewport;
pub mod whole;
pub mod wire;

//! Command lines, as typed: no files, no environment, no decisions.

pub mod agent;
pub mod fleet;
pub mod past;

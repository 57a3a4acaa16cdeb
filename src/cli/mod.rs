//! Command lines, as typed: no files, no environment, no decisions.

pub mod agent;
pub mod fleet;
pub mod launch;
pub mod past;
pub mod show;
pub mod upgrade;
pub mod viewing;

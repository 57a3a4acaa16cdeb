//! Command lines, as typed: no files, no environment, no decisions.

pub mod agent;
pub mod agent_help;
pub mod agent_pages;
pub mod catalog;
pub mod completions;
pub mod fleet;
pub mod fleet_pages;
pub mod help;
pub mod keys;
pub mod launch;
pub mod man;
pub mod past;
pub mod ps;
pub mod reset;
mod schema;
pub mod send;
pub mod show;
pub mod supervise;
pub mod tell;
pub mod upgrade;
pub mod viewing;

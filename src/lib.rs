//! mosaic-agent
#![deny(unsafe_code)]

pub mod cli;
pub mod demo;
pub mod failure;
pub mod os;
pub mod pure;
pub mod units;
pub mod verbs;

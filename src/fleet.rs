//! `mosaic-fleet`: sees the fleet. Heavier things than one agent needs live here.

use std::process::ExitCode;

fn main() -> ExitCode {
    let verb = mosaic_agent::cli::fleet::parse(std::env::args_os());
    verb.and_then(mosaic_agent::verbs::perform_fleet)
        .unwrap_or_else(|failure| {
            mosaic_agent::verbs::complain(format_args!("mosaic-fleet: {failure}"));
            failure.code()
        })
}

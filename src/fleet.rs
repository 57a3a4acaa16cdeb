//! `mosaic-fleet`: sees the fleet. Heavier things than one agent needs live here.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(verb) if verb == "demo-tui" => mosaic_agent::demo::main(args.collect()),
        _ => ExitCode::from(2),
    }
}

//! The main process of an agent's unit, by itself: there is one beside every sidecar, so it is a program of its own that
//! holds nothing else. Called by `mosaic-fleet` only, with the arguments of its `supervise`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = mosaic_agent::cli::supervise::parse(std::env::args_os());
    match options.and_then(mosaic_agent::verbs::perform_monitor) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            mosaic_agent::verbs::complain(format_args!("mosaic-monitor: {failure}"));
            failure.code()
        }
    }
}

//! The tiny binary: parse, perform, print one error, return one code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let verb = mosaic_agent::cli::agent::parse(std::env::args_os());
    match verb.and_then(mosaic_agent::verbs::perform) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            mosaic_agent::verbs::complain(format_args!("mosaic-agent: {failure}"));
            failure.code()
        }
    }
}

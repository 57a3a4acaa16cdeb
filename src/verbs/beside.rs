//! Another of our binaries: the one beside us, else the one on PATH.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, exit};
use crate::os::pty;

/// Finds it.
///
/// # Errors
/// 69: there is none.
pub fn find(binary: &str) -> Result<PathBuf, Failure> {
    let beside = std::env::current_exe()
        .map(|exe| exe.with_file_name(binary))
        .unwrap_or_default();
    if beside.is_file() {
        return Ok(beside);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    pty::find_program(binary, &path, Path::new("/")).map_err(|e| {
        Failure::new(exit::MISSING, format!("looking for {binary}"), e)
            .hint("our programs belong into one directory; install all of them")
    })
}

/// Becomes `mosaic-fleet` with these arguments; returns only if that failed.
pub fn become_fleet(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Failure {
    let args: Vec<OsString> = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
    match find("mosaic-fleet") {
        Ok(fleet) => {
            let failed = Command::new(&fleet).args(args).exec();
            Failure::new(
                exit::MISSING,
                format!("starting {}", fleet.display()),
                failed,
            )
        }
        Err(failure) => failure,
    }
}

//! Directories, locks and files that others read.
//!
//! A file that others read is written beside itself and renamed, so that it is always whole. No fsync:
//! a heartbeat that was lost in a power failure would be stale anyway, and a stalled disk must not stop
//! the beats for longer than it must.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use crate::failure::{Failure, exit};

/// Makes sure a directory is there, ours, no link, and closed to others.
///
/// # Errors
/// [`exit::CONFIG`] when somebody else's directory or a link stands in its place.
pub fn private_dir(dir: &Path) -> Result<(), Failure> {
    let failure = |said: String| {
        Failure::new(
            exit::CONFIG,
            format!("checking the directory {}", dir.display()),
            said,
        )
        .hint("use a directory of your own: set MOSAIC_HEARTBEAT_RUN_DIR or XDG_RUNTIME_DIR")
    };
    match fs::symlink_metadata(dir) {
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .map_err(|e| failure(e.to_string()))?;
        }
        Err(e) => return Err(failure(e.to_string())),
    }
    let found = fs::symlink_metadata(dir).map_err(|e| failure(e.to_string()))?;
    if found.file_type().is_symlink() {
        return Err(failure("it is a symbolic link".into())
            .hint("remove the link, or point MOSAIC_HEARTBEAT_RUN_DIR or XDG_RUNTIME_DIR at the real directory"));
    }
    if !found.is_dir() {
        return Err(failure("it is not a directory".into()).hint("move the file out of the way"));
    }
    let me = nix::unistd::geteuid().as_raw();
    if found.uid() != me {
        return Err(failure(format!(
            "it belongs to uid {}, and we are uid {me}",
            found.uid()
        )));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
            .map_err(|e| failure(e.to_string()))?;
    }
    Ok(())
}

/// An agent's lock, held as long as the value lives. The file stays: removing it would let two
/// sidecars lock two files of the same name.
#[derive(Debug)]
pub struct Lock(Flock<File>);

/// Why no file of ours can be made in a directory; none if one can.
pub fn why_unwritable(dir: &Path) -> Option<String> {
    if let Err(why) = access(dir, AccessFlags::W_OK | AccessFlags::X_OK) {
        return Some(why.desc().to_owned());
    }
    let room = statvfs(dir).ok()?;
    (room.blocks_available() == 0).then(|| "no space is left on its file system".to_owned())
}

impl Lock {
    /// Takes the lock; `None` if somebody else holds it, with what they wrote into it (their pid).
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn take(path: &Path) -> io::Result<Result<Lock, String>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
            .open(path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                lock.set_len(0)?;
                writeln!(lock, "{}", std::process::id())?;
                Ok(Ok(Lock(lock)))
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut owner = String::new();
                Read::by_ref(&mut file)
                    .take(32)
                    .read_to_string(&mut owner)?;
                Ok(Err(owner.trim().to_owned()))
            }
            Err((_, e)) => Err(e.into()),
        }
    }
}

impl Lock {
    /// The lock that the program before has held on this open file, and still holds.
    ///
    /// # Errors
    /// Somebody else has it.
    pub fn adopt(file: OwnedFd) -> io::Result<Lock> {
        Flock::lock(File::from(file), FlockArg::LockExclusiveNonblock)
            .map(Lock)
            .map_err(|(_, e)| e.into())
    }

    /// The descriptor that holds it.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// What the holder of a lock wrote into it; none if nobody holds it.
    pub fn holder(path: &Path) -> Option<String> {
        let file = open_foreign(path).ok()?;
        // A shared lock is refused only by the exclusive one of a holder, and is given back at once.
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => None,
            Err((file, _)) => {
                let mut owner = String::new();
                file.take(32).read_to_string(&mut owner).ok()?;
                Some(owner.trim().to_owned())
            }
        }
    }
}

/// Replaces a file whole: readers find the old text or the new one, nothing between.
///
/// One fixed temporary name, so that a kill leaves at most one behind and the next write reuses it.
///
/// # Errors
/// What the system says; the old file is untouched then.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
            .open(&beside)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("the temporary file is not a regular file"));
        }
        file.write_all(text)?;
        drop(file);
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Opens a file of ours to write behind what is in it, made if it is not there.
///
/// # Errors
/// It is a link or no regular file, or cannot be made.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

/// The first bytes of a file, through links; none where no file is, a link to nothing included.
///
/// # Errors
/// Something else is there (which is not opened), or it cannot be read.
pub fn head(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
        Ok(found) if !found.is_file() => return Err(io::Error::other("it is no file")),
        Ok(_) => {}
    }
    let mut head = Vec::new();
    open_linked(path)?.take(max as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Moves a file to another name in its place; what had that name is gone.
///
/// # Errors
/// It is not there, or may not be moved.
pub fn rename(from: &std::ffi::OsStr, to: &std::ffi::OsStr) -> io::Result<()> {
    fs::rename(from, to)
}

/// Makes a file that only this user can read, and that was not there.
///
/// # Errors
/// Something is there already, or it cannot be made.
pub fn make_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_CLOEXEC)
        .open(path)
}

/// Reads a small file that somebody else may be playing with: no links, no pipes, no more than `max`.
///
/// # Errors
/// It is not there, not a regular file, or cannot be read.
pub fn read_small(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    read_from(path, 0, max)
}

/// Opens a file that somebody else may be playing with: no links, no pipes.
fn open_foreign(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

/// Reads at most `max` bytes of somebody else's file from an offset on.
///
/// # Errors
/// It is not there, not a regular file, or cannot be read.
pub fn read_from(path: &Path, offset: u64, max: usize) -> io::Result<Vec<u8>> {
    let mut file = open_foreign(path)?;
    file.seek(io::SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(max as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a small file of our own that somebody else may be playing with: no links, no pipes, nobody else's,
/// and no longer than `max`.
///
/// # Errors
/// What is in its place instead, in words for a person.
pub fn read_own(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let file = open_foreign(path).map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a symbolic link"),
        // A socket.
        Some(libc::ENXIO) => io::Error::other("not a regular file"),
        _ => e,
    })?;
    let uid = file.metadata()?.uid();
    if uid != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::other(format!("it belongs to uid {uid}")));
    }
    whole(file, max)
}

/// Reads a small file that a person has written, through links, which people use for such files. No pipes, no
/// devices, and no longer than `max`.
///
/// # Errors
/// It is not there, or none of that.
pub fn read_linked(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    whole(open_linked(path)?, max)
}

/// Opens a file, through links. No pipes, no devices.
fn open_linked(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok(file)
}

fn whole(file: File, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::Error::other(format!("it has more than {max} bytes")));
    }
    Ok(bytes)
}

/// The length of a regular file; none if there is no such file.
pub fn length(path: &Path) -> Option<u64> {
    let found = fs::symlink_metadata(path).ok()?;
    found.is_file().then_some(found.len())
}

/// The names in a directory, at most `max` of them, in no order; none if it cannot be read.
pub fn names_in(dir: &Path, max: usize) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .take(max)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The user's profile files: name and text of every `*.toml` in a directory, sorted, at most 64.
pub fn profile_files(dir: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    paths
        .into_iter()
        .take(64)
        .filter_map(|p| {
            let bytes = fs::read(&p).ok()?;
            Some((
                p.display().to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            ))
        })
        .collect()
}

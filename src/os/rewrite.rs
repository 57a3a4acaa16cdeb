//! Somebody else's file, changed whole: its mode, owner and links stay, and nobody reads half of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::libc;

/// Links in a row that are followed; the kernel follows 40, dotfile managers make one or two.
const LINKS_MAX: usize = 8;

/// The file that a path stands for, links followed, whether it is there or not.
///
/// # Errors
/// Too many links.
pub fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            // No link: a file, or nothing.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// A file's bytes; none if it is not there.
///
/// # Errors
/// It cannot be read, is no regular file, or has more than `max` bytes.
pub fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("it has more than {max} bytes")));
    }
    Ok(Some(bytes))
}

/// Puts `new` in the place of the file that still is as `old` says (none: not there). A new file is open
/// to its owner only.
///
/// # Errors
/// It was changed meanwhile, or what the system says; the old file is untouched then.
pub fn replace(path: &Path, old: Option<&[u8]>, new: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let beside = dir.join(format!(".mosaic-{}.new", std::process::id()));
    // No other process has our pid: what is there was left by one that was killed.
    let _ = fs::remove_file(&beside);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC)
            .open(&beside)?;
        file.write_all(new)?;
        keep_looks(&file, path)?;
        file.sync_all()?;
        must_be(path, old)?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Owner and mode of the file that is replaced.
fn keep_looks(new: &File, old: &Path) -> io::Result<()> {
    let Ok(looks) = fs::metadata(old) else {
        return Ok(());
    };
    let mine = new.metadata()?;
    if (mine.uid(), mine.gid()) != (looks.uid(), looks.gid()) {
        fchown(new, Some(looks.uid()), Some(looks.gid()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(looks.mode() & 0o7777))
}

/// Removes a file that still is as `old` says.
///
/// # Errors
/// It was changed meanwhile, or what the system says.
pub fn remove(path: &Path, old: &[u8]) -> io::Result<()> {
    must_be(path, Some(old))?;
    fs::remove_file(path)
}

fn must_be(path: &Path, wanted: Option<&[u8]>) -> io::Result<()> {
    let length = wanted.map_or(0, <[u8]>::len) as u64;
    match read(path, length) {
        Ok(found) if found.as_deref() == wanted => Ok(()),
        _ => Err(io::Error::other("somebody changed it meanwhile; try again")),
    }
}

/// How many directories are missing on the way to this one, itself included.
pub fn missing(dir: &Path) -> u8 {
    let missing = dir.ancestors().take_while(|d| !d.exists()).count();
    u8::try_from(missing).unwrap_or(u8::MAX)
}

/// Makes a directory and those above it, open to their owner only.
///
/// # Errors
/// What the system says.
pub fn make_dirs(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Removes a directory and those above it, `count` in all, as far as they are empty.
pub fn remove_dirs(dir: &Path, count: u8) {
    for dir in dir.ancestors().take(usize::from(count)) {
        if fs::remove_dir(dir).is_err() {
            return;
        }
    }
}

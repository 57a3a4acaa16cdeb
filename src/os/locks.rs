//! Who holds which lock, as the kernel tells: looking does not take the lock, so nobody is kept from it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::libc;

/// Every lock on a whole file that is held on this machine.
pub struct Locks(HashMap<u64, Vec<Held>>);

/// One of them: the file's device as the kernel prints it, and the holder's pid.
type Held = (String, i32);

impl Locks {
    /// Reads `/proc/locks`; none where the kernel does not tell.
    pub fn read() -> Option<Locks> {
        let text = fs::read_to_string("/proc/locks").ok()?;
        let mut locks: HashMap<u64, Vec<Held>> = HashMap::new();
        for (inode, held) in text.lines().filter_map(held) {
            locks.entry(inode).or_default().push(held);
        }
        Some(Locks(locks))
    }

    /// The pid that holds the exclusive lock of a file. By its inode alone where the device is found nowhere:
    /// some file systems (btrfs) show another one there than to stat(2).
    pub fn holder(&self, path: &Path) -> Option<i32> {
        let found = fs::symlink_metadata(path).ok()?;
        let device = found.dev();
        let device = format!("{:02x}:{:02x}", libc::major(device), libc::minor(device));
        let all = self.0.get(&found.ino())?;
        let held = all.iter().find(|held| held.0 == device);
        held.or(all.first()).map(|held| held.1)
    }
}

/// `1: FLOCK  ADVISORY  WRITE 4240 08:01:131090 0 EOF`: inode and pid. A line with `->` tells who waits. Over NFS
/// a `flock` shows as POSIX.
fn held(line: &str) -> Option<(u64, Held)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let kind = words.next()?;
    let mode = words.nth(1)?;
    let pid = words.next()?.parse().ok()?;
    let (device, inode) = words.next()?.rsplit_once(':')?;
    let held = (device.to_owned(), pid);
    let inode = inode.parse().ok()?;
    (matches!(kind, "FLOCK" | "POSIX") && mode == "WRITE").then_some((inode, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whoever_holds_an_exclusive_lock_counts() {
        let line = "1: FLOCK  ADVISORY  WRITE 4240 08:01:131090 0 EOF";
        assert_eq!(held(line), Some((131_090, ("08:01".into(), 4240))));
        for other in [
            "1: -> FLOCK  ADVISORY  WRITE 4240 08:01:131090 0 EOF",
            "2: FLOCK  ADVISORY  READ 4240 08:01:131090 0 EOF",
            "3: LEASE  ACTIVE    READ 4240 08:01:131090 0 EOF",
            "",
        ] {
            assert_eq!(held(other), None, "{other}");
        }
    }
}

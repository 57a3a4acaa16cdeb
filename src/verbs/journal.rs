//! The journal of one agent, `<run>/NAME.journal`: what [`crate::pure::journal`] says, on the disk.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::os::files;
use crate::pure::journal::{self, Line, Recovered};

/// Most bytes read at a start: 64 waiting messages of 256 KiB with every byte escaped have 32 MiB.
const READ_MAX: usize = 40 * 1024 * 1024;

/// A journal that has grown by this much is written anew: some thousand messages.
const GROWTH_MAX: u64 = 1024 * 1024;

/// The open journal.
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    length: u64,
    /// Its length when it was last written anew.
    begun_with: u64,
    /// Why the last line could not be written.
    pub trouble: Option<String>,
}

impl Journal {
    /// What the last sidecar has left, and the journal to go on with (not written yet, see
    /// [`Journal::begin`]).
    pub fn read(path: &Path, now: SystemTime) -> (Journal, Recovered) {
        let bytes = files::read_small(path, READ_MAX);
        let trouble = match &bytes {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Some(format!("reading {}: {e}", path.display()))
            }
            _ => None,
        };
        let recovered = journal::recover(&bytes.unwrap_or_default(), now);
        if recovered.unreadable > 0 {
            let n = recovered.unreadable;
            tracing::warn!("{}: {n} lines could not be read", path.display());
        }
        let journal = Journal {
            path: path.to_owned(),
            file: None,
            length: 0,
            begun_with: 0,
            trouble,
        };
        (journal, recovered)
    }

    /// Writes it anew with these lines. If that fails, the old one stays and is appended to.
    pub fn begin(&mut self, lines: &[Line]) {
        let text: Vec<u8> = lines.iter().flat_map(Line::render).collect();
        let begun = files::replace(&self.path, &text)
            .and_then(|()| files::open_to_append(&self.path))
            .and_then(|file| Ok((file.metadata()?.len(), file)));
        match begun {
            Ok((length, file)) => {
                self.length = length;
                self.begun_with = length;
                self.file = Some(file);
            }
            Err(e) => self.note(&e),
        }
    }

    /// Appends a line; with `sync` it is on the disk when this returns.
    ///
    /// # Errors
    /// It is not written, and nothing of it is.
    pub fn append(&mut self, line: &Line, sync: bool) -> io::Result<()> {
        let written = self.try_append(&line.render(), sync);
        match &written {
            Ok(()) => self.trouble = None,
            Err(e) => self.note(e),
        }
        written
    }

    fn try_append(&mut self, line: &[u8], sync: bool) -> io::Result<()> {
        if self.file.is_none() {
            let file = files::open_to_append(&self.path)?;
            self.length = file.metadata()?.len();
            self.file = Some(file);
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let written = file.write_all(line);
        if written.is_err() {
            // Half a line would spoil the next one.
            let _ = file.set_len(self.length);
            return written;
        }
        self.length += line.len() as u64;
        if sync { file.sync_data() } else { Ok(()) }
    }

    /// Whether it is time to write it anew.
    pub fn is_long(&self) -> bool {
        self.length > 2 * self.begun_with + GROWTH_MAX
    }

    fn note(&mut self, error: &io::Error) {
        let trouble = format!("writing {}: {error}", self.path.display());
        tracing::warn!("{trouble}");
        self.trouble = Some(trouble);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::pure::receipt::{Receipt, Verdict};

    fn path(test: &str) -> PathBuf {
        let name = format!("journal-{test}-{}", std::process::id());
        std::env::temp_dir().join(name)
    }

    fn line(id: &str) -> Line {
        let now = SystemTime::now();
        Line::settled(&Receipt::bare(id, Verdict::Accepted, "taken", now))
    }

    fn ids(path: &Path) -> Vec<String> {
        let (_, recovered) = Journal::read(path, SystemTime::now());
        recovered.receipts.into_iter().map(|r| r.id).collect()
    }

    #[test]
    fn what_was_appended_is_read_at_the_next_start() {
        let path = path("appended");
        let (mut journal, _) = Journal::read(&path, SystemTime::now());
        journal.begin(&[line("one")]);
        journal.append(&line("two"), true).expect("it is written");
        assert_eq!(ids(&path), ["one", "two"]);
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn a_disk_that_is_full_costs_the_line_and_nothing_before_or_after_it() {
        let path = path("full");
        let (mut journal, _) = Journal::read(&path, SystemTime::now());
        journal.begin(&[line("one")]);
        let file = journal
            .file
            .replace(File::options().write(true).open("/dev/full").expect("it"));
        let failed = journal.append(&line("two"), false);
        assert!(failed.is_err() && journal.trouble.is_some());
        journal.file = file;
        journal
            .append(&line("three"), false)
            .expect("it is written");
        assert_eq!(journal.trouble, None);
        assert_eq!(ids(&path), ["one", "three"]);
        let _ = std::fs::remove_file(path);
    }

    #[test]
    fn a_directory_in_its_place_is_trouble_and_no_end() {
        let path = path("directory");
        std::fs::create_dir_all(&path).expect("a directory");
        let (mut journal, recovered) = Journal::read(&path, SystemTime::now());
        assert!(journal.trouble.is_some());
        assert_eq!(recovered.receipts, []);
        journal.begin(&[]);
        assert!(journal.append(&line("one"), false).is_err());
        let _ = std::fs::remove_dir_all(path);
    }
}

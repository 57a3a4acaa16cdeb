//! The runtime's own records, watched while a message is on its way: what it writes down from then on
//! may be that message. Never written to; whatever is wrong with them costs evidence and nothing else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::os::watch::Changes;
use crate::os::{files, process};
use crate::pure::profile::Profile;
use crate::pure::record::{self, LINE_MAX, RecordRule, Subject};
use crate::pure::recorded::Recorded;

/// Most files looked at in one directory. With more, only those that are known already count.
const FILES_MAX: usize = 4_096;

/// Most bytes of one file read at once; there may be more the next time.
const READ_MAX: usize = 4 * 1024 * 1024;

/// How much of a file's last line is remembered, to notice that the file was written anew.
const END_MAX: u64 = 256;

/// Where changes are not announced (no inotify left), this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Where they are: those that slip through (a network file system, a directory that was made in this moment).
const LOOK_ANYWAY: Duration = Duration::from_secs(1);

/// The records of one runtime.
#[derive(Default)]
pub struct Records {
    watched: Option<Watched>,
    trouble: Option<String>,
}

struct Watched {
    runtime: String,
    pid: i32,
    places: Vec<Place>,
    /// Files that were there when the watch began, and how much of them is known.
    known: HashMap<PathBuf, Known>,
    /// There were more files than were looked at: a file that is not known may be old.
    crowded: bool,
    changes: Option<Changes>,
    /// Where changes are not announced; `None` while nobody waits for them.
    next_look: Option<Instant>,
}

/// A directory, the names in it, and the rules for what is in the files.
struct Place {
    root: PathBuf,
    path: String,
    rules: Vec<(RecordRule, Option<String>)>,
}

#[derive(Default)]
struct Known {
    read: u64,
    /// The bytes before that, where one file holds everything and may be written anew.
    end: Vec<u8>,
}

impl Records {
    /// What went wrong last, for `status`.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// From now on, what the runtime `pid` writes down is news, for the next [`Records::look`].
    pub fn mark(&mut self, profile: &Profile, pid: i32) {
        let mut watched = Watched {
            runtime: profile.name.clone(),
            pid,
            places: places(&profile.record, pid),
            known: HashMap::new(),
            crowded: false,
            changes: None,
            next_look: None,
        };
        if watched.places.is_empty() {
            return;
        }
        for place in &watched.places {
            let (dir, names) = place.files();
            watched.crowded |= names.len() == FILES_MAX;
            for name in &names {
                let file = dir.join(name);
                let Some(length) = files::length(&file) else {
                    continue;
                };
                let mut known = Known {
                    read: length,
                    end: Vec::new(),
                };
                if names.len() == 1 {
                    let from = length.saturating_sub(END_MAX);
                    let end = files::read_from(&file, from, END_MAX as usize);
                    known.end = end_of(&end.unwrap_or_default());
                }
                watched.known.insert(file, known);
            }
        }
        self.watched = Some(watched);
    }

    /// Has [`Records::changed`] tell of news, from now on. Those since the mark are there to be looked at.
    pub fn announce(&mut self) {
        if let Some(watched) = &mut self.watched {
            watched.changes = Changes::new().ok();
            watched.next_look = Some(Instant::now());
        }
    }

    /// Whether there are any to be read.
    pub fn is_open(&self) -> bool {
        self.watched.is_some()
    }

    /// Nothing is on its way any more.
    pub fn end(&mut self) {
        self.watched = None;
    }

    /// Waits until something may have been written down; forever while nothing is watched.
    pub async fn changed(&self) {
        match self.watched.as_ref().and_then(|w| w.changes.as_ref()) {
            Some(changes) => changes.next().await,
            None => std::future::pending().await,
        }
    }

    /// When to look though nothing was announced.
    pub fn next_look(&self) -> Option<Instant> {
        self.watched.as_ref().and_then(|w| w.next_look)
    }

    /// What was written down since the last look.
    pub fn look(&mut self) -> Vec<Recorded> {
        let Some(watched) = &mut self.watched else {
            return Vec::new();
        };
        let pause = match watched.changes {
            Some(_) => LOOK_ANYWAY,
            None => LOOK_EVERY,
        };
        if let Some(next) = &mut watched.next_look {
            *next = Instant::now() + pause;
        }
        let mut found = Vec::new();
        for place in &watched.places {
            let (dir, names) = place.files();
            if let Some(changes) = &watched.changes {
                changes.watch(&dir);
            }
            for name in names {
                let file = dir.join(name);
                if watched.crowded && !watched.known.contains_key(&file) {
                    self.trouble = Some(format!("{} has too many files", dir.display()));
                    continue;
                }
                let known = watched.known.entry(file.clone()).or_default();
                let lines = match known.news(&file) {
                    Ok(lines) => lines,
                    Err(why) => {
                        self.trouble = Some(format!("reading {}: {why}", file.display()));
                        continue;
                    }
                };
                let entries = place.entries(&watched.runtime, &file, &lines);
                // Whose file it is takes looking at a process: only for those that matter.
                if !entries.is_empty() && is_another_sessions(watched.pid, &dir, &file) {
                    continue;
                }
                found.extend(entries);
            }
        }
        found
    }
}

/// Where the rules point for this process.
fn places(rules: &[RecordRule], pid: i32) -> Vec<Place> {
    let mut subject = Subject {
        pid,
        cwd: process::working_dir(pid)
            .map(|dir| dir.to_string_lossy().into_owned())
            .unwrap_or_default(),
        session: None,
    };
    let mut places: Vec<Place> = Vec::new();
    for rule in rules {
        let Some(root) = rule.root.iter().find_map(|root| expand(root, pid)) else {
            continue;
        };
        subject.session = session(rule, &root, &subject);
        let path = rule.path(&subject);
        let rule = (rule.clone(), rule.head(&subject));
        match places.iter_mut().find(|p| p.root == root && p.path == path) {
            Some(place) => place.rules.push(rule),
            None => places.push(Place {
                root,
                path,
                rules: vec![rule],
            }),
        }
    }
    places
}

/// The session that the runtime says it has.
pub(super) fn session(rule: &RecordRule, root: &Path, subject: &Subject) -> Option<String> {
    let (file, key) = rule.session(subject)?;
    let document = files::read_small(&root.join(file), LINE_MAX).ok()?;
    record::value_of(&document, key)
}

/// A root of a rule, if its variable is set to an absolute path.
pub(super) fn expand(root: &str, pid: i32) -> Option<PathBuf> {
    let (first, rest) = root.split_once('/').unwrap_or((root, ""));
    let name = match first.strip_prefix('$') {
        Some(name) => name,
        None if first == "~" => "HOME",
        None => return Some(PathBuf::from(root)),
    };
    let value = process::variable(pid, name).filter(|value| value.starts_with('/'))?;
    Some(Path::new(&value).join(rest))
}

impl Place {
    /// The directory as it is now, and the names in it that may be records.
    fn files(&self) -> (PathBuf, Vec<String>) {
        let mut dir = self.root.clone();
        let (dirs, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        for part in dirs.split('/').filter(|part| !part.is_empty()) {
            let part = match part {
                "{newest}" => match files::names_in(&dir, FILES_MAX).into_iter().max() {
                    Some(newest) => newest,
                    None => return (dir, Vec::new()),
                },
                part => part.to_owned(),
            };
            dir.push(part);
        }
        let Some((begin, end)) = name.split_once('*') else {
            return (dir, vec![name.to_owned()]);
        };
        let mut names = files::names_in(&dir, FILES_MAX);
        names.retain(|n| {
            n.len() >= begin.len() + end.len() && n.starts_with(begin) && n.ends_with(end)
        });
        (dir, names)
    }

    fn entries(&self, runtime: &str, file: &Path, lines: &[u8]) -> Vec<Recorded> {
        let mut found = Vec::new();
        for (rule, head) in &self.rules {
            let entries: Vec<Recorded> = lines
                .split(|b| *b == b'\n')
                .flat_map(|line| rule.entry(runtime, line))
                .collect();
            let is_ours = |head: &String| {
                let begin = files::read_small(file, 64 * 1024).unwrap_or_default();
                begin.windows(head.len()).any(|w| w == head.as_bytes())
            };
            if !entries.is_empty() && head.as_ref().is_none_or(is_ours) {
                found.extend(entries);
            }
        }
        found
    }
}

impl Known {
    /// The lines that were added since the last look, whole ones only. In a file that was written anew
    /// only the last line can be news, and is if the file ends differently than before.
    fn news(&mut self, file: &Path) -> std::io::Result<Vec<u8>> {
        let Some(length) = files::length(file) else {
            return Ok(Vec::new());
        };
        if length == self.read && self.end.is_empty() {
            return Ok(Vec::new());
        }
        if !self.end.is_empty() {
            let from = self.read - self.end.len() as u64;
            if files::read_from(file, from, self.end.len())? != self.end {
                return self.last_line(file, length);
            }
        }
        let mut bytes = files::read_from(file, self.read, READ_MAX)?;
        match bytes.iter().rposition(|b| *b == b'\n') {
            Some(at) => bytes.truncate(at + 1),
            None if bytes.len() > LINE_MAX => {
                self.read += bytes.len() as u64;
                return Err(std::io::Error::other("a line is too long"));
            }
            None => return Ok(Vec::new()),
        }
        self.read += bytes.len() as u64;
        if !self.end.is_empty() && !bytes.is_empty() {
            self.end = end_of(&bytes);
        }
        Ok(bytes)
    }

    fn last_line(&mut self, file: &Path, length: u64) -> std::io::Result<Vec<u8>> {
        let from = length.saturating_sub(LINE_MAX as u64);
        let mut bytes = files::read_from(file, from, LINE_MAX)?;
        let end = end_of(&bytes);
        if bytes.pop() != Some(b'\n') {
            // Still being written.
            return Ok(Vec::new());
        }
        let is_news = end != self.end;
        self.read = length;
        self.end = end;
        if !is_news {
            return Ok(Vec::new());
        }
        let begin = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        Ok(bytes.split_off(begin))
    }
}

/// The last line, or the end of it.
fn end_of(bytes: &[u8]) -> Vec<u8> {
    let before = bytes.len().saturating_sub(1);
    let line = bytes[..before].iter().rposition(|b| *b == b'\n');
    let from = bytes.len().saturating_sub(END_MAX as usize);
    bytes[from.max(line.map_or(0, |at| at + 1))..].to_vec()
}

/// Whether a runtime that keeps its record open keeps another one than this.
fn is_another_sessions(pid: i32, dir: &Path, file: &Path) -> bool {
    let open: Vec<PathBuf> = process::open_below(pid, dir)
        .into_iter()
        .filter(|open| open.extension() == file.extension())
        .collect();
    !open.is_empty() && !open.iter().any(|open| open == file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::pure::profile::Profiles;

    /// A directory of its own, the records in it, and a profile that reads them.
    struct Desk {
        dir: PathBuf,
        profile: Profile,
        records: Records,
    }

    impl Desk {
        fn new(test: &str, path: &str, more: &str) -> Desk {
            let dir = std::env::temp_dir().join(format!("records-{test}-{}", std::process::id()));
            fs::create_dir_all(&dir).expect("a directory");
            let profiles = Profiles::with(&[(
                "desk.toml".into(),
                format!(
                    "name = \"desk\"\n[match]\nexe = [\"desk\"]\n[composer]\nshape = \"open\"\nprompt = \">\"\n\
                     [[record]]\nname = \"journal\"\nroot = [\"{}\"]\npath = \"{path}\"\n\
                     where = [\"role=user\"]\ntext = [\"text\"]\nsays = \"taken\"\n{more}",
                    dir.display()
                ),
            )]);
            assert_eq!(profiles.warnings, Vec::<String>::new());
            let profile = profiles.named("desk").expect("the profile").clone();
            Desk {
                dir,
                profile,
                records: Records::default(),
            }
        }

        fn write(&self, file: &str, text: &str) {
            let path = self.dir.join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .expect("a file");
            file.write_all(text.as_bytes()).expect("it is written");
        }

        fn begin(&mut self) {
            let pid = i32::try_from(std::process::id()).expect("a pid");
            self.records.mark(&self.profile, pid);
        }

        fn news(&mut self) -> Vec<String> {
            self.records.look().into_iter().map(|r| r.text).collect()
        }
    }

    impl Drop for Desk {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }

    fn entry(text: &str) -> String {
        format!("{{\"role\":\"user\",\"text\":\"{text}\"}}\n")
    }

    #[test]
    fn only_what_is_written_after_the_beginning_is_news() {
        let mut desk = Desk::new("news", "*.jsonl", "");
        desk.write("a.jsonl", &entry("old"));
        desk.begin();
        assert!(desk.news().is_empty());
        desk.write("a.jsonl", &entry("new"));
        desk.write("b.jsonl", &entry("in a file of its own"));
        let mut news = desk.news();
        news.sort();
        assert_eq!(news, ["in a file of its own", "new"]);
        assert!(desk.news().is_empty());
    }

    #[test]
    fn what_is_written_between_the_mark_and_the_announcement_is_news() {
        let mut desk = Desk::new("mark", "*.jsonl", "");
        desk.write("a.jsonl", &entry("old"));
        desk.begin();
        assert_eq!(desk.records.next_look(), None, "a mark alone wakes nobody");
        desk.write("a.jsonl", &entry("quick"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .expect("a runtime");
        let _inside = runtime.enter();
        desk.records.announce();
        assert!(desk.records.next_look().is_some());
        assert_eq!(desk.news(), ["quick"]);
    }

    #[test]
    fn half_a_line_counts_once_it_is_whole() {
        let mut desk = Desk::new("half", "a.jsonl", "");
        desk.begin();
        let line = entry("run the tests");
        desk.write("a.jsonl", &line[..20]);
        assert!(desk.news().is_empty());
        desk.write("a.jsonl", &line[20..]);
        assert_eq!(desk.news(), ["run the tests"]);
    }

    #[test]
    fn of_a_file_written_anew_only_another_last_line_is_news() {
        let mut desk = Desk::new("anew", "a.jsonl", "");
        for text in ["one", "two", "three"] {
            desk.write("a.jsonl", &entry(text));
        }
        desk.begin();
        let path = desk.dir.join("a.jsonl");
        fs::write(&path, [entry("two"), entry("three")].concat()).expect("written anew");
        assert!(desk.news().is_empty());
        fs::write(&path, [entry("three"), entry("four")].concat()).expect("written anew");
        assert_eq!(desk.news(), ["four"]);
        desk.write("a.jsonl", &entry("five"));
        assert_eq!(desk.news(), ["five"]);
    }

    #[test]
    fn a_record_that_another_working_directory_heads_is_not_ours() {
        let mut desk = Desk::new("head", "*.jsonl", "head = \"cwd={cwd};\"\n");
        desk.begin();
        let here = std::env::current_dir().expect("a directory");
        desk.write("theirs.jsonl", "cwd=/somewhere/else;\n");
        desk.write("theirs.jsonl", &entry("theirs"));
        desk.write("ours.jsonl", &format!("cwd={};\n", here.display()));
        desk.write("ours.jsonl", &entry("ours"));
        assert_eq!(desk.news(), ["ours"]);
    }

    #[test]
    fn a_record_beside_the_one_that_the_runtime_keeps_open_is_another_sessions() {
        let mut desk = Desk::new("open", "*.jsonl", "");
        desk.write("ours.jsonl", "");
        let held = fs::File::open(desk.dir.join("ours.jsonl")).expect("it is open");
        desk.begin();
        desk.write("theirs.jsonl", &entry("theirs"));
        desk.write("ours.jsonl", &entry("ours"));
        assert_eq!(desk.news(), ["ours"]);
        drop(held);
    }

    #[test]
    fn the_session_that_names_this_process_is_the_only_one() {
        let pid = std::process::id();
        let mut desk = Desk::new(
            "session",
            "{session}.jsonl",
            "session = \"pids/{pid}.json#id\"\n",
        );
        desk.write(&format!("pids/{pid}.json"), "{\"id\":\"mine\"}");
        desk.begin();
        desk.write("other.jsonl", &entry("theirs"));
        desk.write("mine.jsonl", &entry("ours"));
        assert_eq!(desk.news(), ["ours"]);
    }

    #[test]
    fn the_newest_directory_is_found_also_when_it_is_made_only_now() {
        let mut desk = Desk::new("newest", "{newest}/{newest}/*.jsonl", "");
        desk.write("2025/12/a.jsonl", &entry("old"));
        desk.begin();
        desk.write("2026/01/b.jsonl", &entry("new"));
        assert_eq!(desk.news(), ["new"]);
    }

    #[test]
    fn a_line_without_end_a_pipe_and_a_link_are_trouble_and_no_evidence() {
        let mut desk = Desk::new("hostile", "*.jsonl", "");
        desk.begin();
        desk.write("long.jsonl", &"x".repeat(LINE_MAX + 1));
        desk.write("elsewhere", &entry("through a link"));
        std::os::unix::fs::symlink(desk.dir.join("elsewhere"), desk.dir.join("link.jsonl"))
            .expect("a link");
        nix::unistd::mkfifo(&desk.dir.join("pipe.jsonl"), nix::sys::stat::Mode::S_IRWXU)
            .expect("a pipe");
        desk.write("bytes.jsonl", "\u{0}\u{1}{\"role\":\"user\"\n");
        assert!(desk.news().is_empty());
        let trouble = desk.records.trouble().unwrap_or_default().to_owned();
        assert!(
            trouble.contains("long.jsonl") && trouble.contains("too long"),
            "{trouble}"
        );
        desk.write("long.jsonl", &format!("\n{}", entry("after it")));
        assert_eq!(desk.news(), ["after it"]);
    }
}

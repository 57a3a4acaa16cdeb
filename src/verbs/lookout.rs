//! Which heartbeats are new, for `events`: told when one is written, by the kernel. Where that is not to be had (no inotify
//! instance is left, the directory is not there yet), all of them are looked at again and again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::os::watch::Arrivals;
use crate::units::AgentName;

/// How often all of them are looked at where nobody tells, and how soon a sidecar that does not answer is asked again.
pub const RESCAN: Duration = Duration::from_secs(1);

/// What has come since it was last asked for. However long that was: it has no more names than there are agents.
#[derive(Debug, Default)]
pub struct News {
    /// Anything may be new.
    pub all: bool,
    /// The heartbeats of these agents are.
    pub of: BTreeSet<AgentName>,
}

impl News {
    fn is_empty(&self) -> bool {
        !self.all && self.of.is_empty()
    }
}

/// A thread that watches a directory of heartbeats.
pub struct Lookout {
    news: Arc<Mutex<News>>,
}

impl Lookout {
    /// Begins. Whatever comes after this is told: `there_is` is called when there is news where there was none, until it
    /// says that nobody listens.
    pub fn start(dir: &Path, there_is: impl Fn() -> bool + Send + 'static) -> Lookout {
        let news = Arc::new(Mutex::new(News::default()));
        let arrivals = Arrivals::watch(dir).ok();
        let watch = Watch {
            dir: dir.to_owned(),
            news: Arc::clone(&news),
            there_is,
        };
        thread::spawn(move || watch.run(arrivals));
        Lookout { news }
    }

    /// Takes what there is.
    pub fn take(&self) -> News {
        std::mem::take(&mut lock(&self.news))
    }
}

struct Watch<F> {
    dir: PathBuf,
    news: Arc<Mutex<News>>,
    there_is: F,
}

impl<F: Fn() -> bool> Watch<F> {
    fn run(self, mut arrivals: Option<Arrivals>) {
        loop {
            match &arrivals {
                // It ends when the directory has gone, or when more has come than the kernel can remember.
                Some(arrivals) => {
                    while let Ok(names) = arrivals.next() {
                        let agents = names.iter().filter_map(|name| agent(name.to_str()?));
                        if !self.add(|news| news.of.extend(agents)) {
                            return;
                        }
                    }
                }
                None => thread::sleep(RESCAN),
            }
            arrivals = Arrivals::watch(&self.dir).ok();
            // Only now: what comes while they are looked at is told by the new watch.
            if !self.add(|news| news.all = true) {
                return;
            }
        }
    }

    /// Adds news; false if nobody listens.
    fn add(&self, add: impl FnOnce(&mut News)) -> bool {
        let mut news = lock(&self.news);
        let was_empty = news.is_empty();
        add(&mut news);
        let is_first = was_empty && !news.is_empty();
        drop(news);
        !is_first || (self.there_is)()
    }
}

/// Nothing that is done under the lock can panic half-way.
fn lock(news: &Mutex<News>) -> MutexGuard<'_, News> {
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The agent of a heartbeat's file.
pub fn agent(file: &str) -> Option<AgentName> {
    AgentName::new(file.strip_suffix(".hb")?).ok()
}

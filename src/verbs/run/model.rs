//! The screen model may fail, the byte pump may not: a panic in it is caught here, and any other one ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{AtWork, now, take_up};
use crate::os::{files, tty};
use crate::pure::harness::{Harness, Input};
use crate::pure::profile::Profiles;
use crate::units::TermSize;

/// Set while the screen model runs, whose panics are caught.
static MODEL_RUNS: AtomicBool = AtomicBool::new(false);

/// A panic anywhere but in the screen model ends the process: no half-alive sidecar that still beats.
/// The terminal is put back first, and the runtime ends with us by its parent-death signal.
pub(super) fn install_panic_hook() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if MODEL_RUNS.load(Ordering::Relaxed) {
            // Its text must not be drawn over the runtime's screen.
            tracing::error!("the screen model failed: {info}");
            return;
        }
        tty::restore_after_panic();
        report(info);
        std::process::abort();
    }));
}

impl AtWork {
    /// Feeds the screen model. The model may fail, the pump may not: a panic in it costs the messages
    /// on their way and a redraw, nothing else.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        MODEL_RUNS.store(true, Ordering::Relaxed);
        let fed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.handle(Input::Output(bytes));
        }));
        MODEL_RUNS.store(false, Ordering::Relaxed);
        if fed.is_ok() {
            return;
        }
        self.panics += 1;
        tracing::error!(
            "the screen model failed ({} times); it starts anew",
            self.panics
        );
        self.waiting.clear();
        self.records.end();
        let settings = &self.sidecar.place.settings;
        let tag = format!("{:x}-{:x}r{}", std::process::id(), self.seq, self.panics);
        let profiles = Profiles::with(&files::profile_files(&settings.profile_dir));
        let now = now();
        self.harness = Harness::new(profiles, self.sidecar.size, settings.interval, tag, now);
        self.journal = take_up(&self.sidecar, &mut self.harness, false, now);
        if self.ending.is_draining() {
            self.harness.drain(now);
        }
        self.clients.drop_all();
        // A runtime redraws everything when its size changes.
        let size = self.sidecar.size;
        let other = TermSize {
            cols: size.cols,
            rows: size.rows - 1,
        };
        let _ = self.sidecar.pty.resize(other);
        let _ = self.sidecar.pty.resize(size);
    }
}

//! Trials: many sends to one real runtime under the sidecar, in scenes made by seeded chance, each verdict
//! held against the truth (the log of the model stub, what tmux shows, files that a tool would have made).
//!
//! Used by `tests/live.rs` (a fixed list of scenes) and by `benches trials` (`bench.rs`: as many as wanted).
//! Open [`scenes`] first: what is done to the agent. [`shots`] says what counts as a fault.

// Each of the two users leaves some of it unused.
#![allow(dead_code, unused_imports)]

mod available;
mod chance;
mod rig;
pub mod scenes;
mod shots;
mod stub;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

pub use available::{available, skip};
use chance::Chance;
pub use chance::Shape;
use scenes::{Scene, Stage};
pub use shots::{Fault, Shot};
pub use stub::Stub;
pub use table::{anomalies, lines, table};

/// The scenes of one runtime, played in one session of it.
pub fn play(runtime: &str, scenes: &[Scene], seed: u64) -> Vec<Shot> {
    let mut stage = Stage::open(runtime, seed);
    for scene in scenes {
        stage.play(*scene);
    }
    stage.close()
}

/// Scenes by chance until `sends` messages were sent or the time is over; a new session now and then, since
/// every request carries the whole conversation. `after` gets the shots of each session.
pub fn wander(
    runtime: &str,
    sends: usize,
    until: Option<Instant>,
    seed: u64,
    only: &[Scene],
    mut after: impl FnMut(&[Shot]),
) -> Vec<Shot> {
    const SESSION: usize = 40;
    let possible: Vec<Scene> = scenes::possible(runtime)
        .into_iter()
        .filter(|s| only.is_empty() || only.contains(s))
        .collect();
    let mut shots = Vec::new();
    for session in 0.. {
        let left = sends.saturating_sub(shots.len());
        let seed = seed.wrapping_add(session);
        let mut chance = Chance::new(seed.rotate_left(32));
        let over = || until.is_some_and(|end| Instant::now() >= end);
        // A scene that cannot be played costs its session, not the run.
        let played = catch_unwind(AssertUnwindSafe(|| {
            let mut stage = Stage::open(runtime, seed);
            while stage.sent() < left.min(SESSION) && !stage.stuck && !over() {
                stage.play(chance.pick(&possible));
            }
            stage.close()
        }));
        let new = played.unwrap_or_else(|_| {
            eprintln!("{runtime}: the session with seed {seed} is lost");
            Vec::new()
        });
        after(&new);
        shots.extend(new);
        eprintln!("{runtime}: {} of {sends} sends, seed {seed}", shots.len());
        if shots.len() >= sends || over() {
            break;
        }
    }
    shots
}

/// Threads that take all the CPU they get.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// As many threads as this.
    pub fn start(threads: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        Load {
            threads: (0..threads).map(spin).collect(),
            stop,
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

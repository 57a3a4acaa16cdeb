//! Trials: many sends to one real runtime under the sidecar, in scenes made by seeded chance, each verdict
//! held against the truth (the log of the model stub, what tmux shows, files that a tool would have made).
//!
//! Used by `tests/live.rs` (a fixed list of scenes) and by `benches trials` (`bench.rs`: as many as wanted).
//! Open [`scenes`] first: what is done to the agent. [`shots`] says what counts as a fault.

// Each of the two users leaves some of it unused.
#![allow(dead_code, unused_imports)]

mod chance;
pub mod golden;
mod hazard;
mod openings;
mod others;
mod plays;
pub mod recorder;
mod rig;
pub mod scenes;
mod shots;
mod stage;
mod stub;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use chance::Chance;
pub use chance::Shape;
pub use rig::{How, Receipt, Rig, Start, wait_until};
use scenes::Scene;
pub use shots::{Fault, Shot};
use stage::Stage;
pub use stub::Stub;
pub use table::{anomalies, lines, scenario_table, table};

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

/// Every scenario of a runtime (or those of `only`), one after the other.
pub fn tour(runtime: &str, seed: u64, only: &[Scene]) -> Vec<Shot> {
    let mut stage = Stage::open(runtime, seed);
    let wanted = |s: &Scene| only.is_empty() || only.contains(s);
    for scene in scenes::scenarios(runtime).into_iter().filter(wanted) {
        let played = catch_unwind(AssertUnwindSafe(|| stage.play(scene)));
        if played.is_err() || stage.stuck {
            eprintln!("{runtime}: {} went wrong; seed {seed}", scene.name());
            stage.begin_anew();
        }
    }
    stage.close()
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

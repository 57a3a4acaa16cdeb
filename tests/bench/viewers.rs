//! What `mosaic-fleet watch` costs: itself, the sidecar, and the pane that is watched.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::candidates::{Candidate, Workshop};
use crate::figures::{Limit, Row, Samples};
use crate::measure::{FLOOD_ROUNDS, Plan, READY_WITHIN, Rows, finish, flood, kilobytes, ready};
use crate::procfs;
use crate::terminal::{Terminal, watch};

/// Viewers at once.
const CROWD: usize = 50;

/// A flood here is so many times as long as the others: a viewer is answered ten times a second, fifty of them
/// twice, and a flood that ends before says nothing.
const LONGER: usize = 20;

/// What a flood came to.
struct Flood {
    seconds: f64,
    /// CPU of the sidecar, and of all viewers together, in seconds.
    sidecar: f64,
    viewers: f64,
    /// Memory of each viewer afterwards, in KiB.
    private: f64,
}

/// A TUI that floods, watched by nobody, by one and by many, in another order every round.
pub fn viewers(shop: &Workshop, plan: &Plan) -> Rows {
    let [mut own, mut sidecar, mut private]: [Samples; 3] = Default::default();
    let (mut one, mut many) = (Samples::default(), Samples::default());
    for round in 0..plan.rounds * FLOOD_ROUNDS {
        let mut crowds = [0, 1, CROWD];
        crowds.rotate_left(round % 3);
        let mut floods = crowds
            .into_iter()
            .map(|crowd| Ok((crowd, watched_flood(shop, plan, crowd)?)))
            .collect::<io::Result<Vec<_>>>()?;
        floods.sort_by_key(|(crowd, _)| *crowd);
        let [(_, alone), (_, watched), (_, crowded)] = &floods[..] else {
            continue;
        };
        let add = |samples: &mut Samples, value| samples.add(Candidate::Agent, value);
        let per_second = |flood: &Flood, cpu: f64| 100.0 * cpu / flood.seconds;
        add(&mut own, per_second(watched, watched.viewers));
        // The same bytes: what the sidecar spends more on them is the viewer's.
        add(
            &mut sidecar,
            per_second(watched, watched.sidecar - alone.sidecar),
        );
        add(&mut private, watched.private);
        add(&mut one, alone.seconds / watched.seconds);
        add(&mut many, alone.seconds / crowded.seconds);
    }
    Ok(vec![
        Row::new(
            "watch of a flooding TUI: the viewer, % of a core",
            own,
            Limit::Value(5.0, 2.0),
        ),
        Row::new(
            "watch of a flooding TUI: the sidecar more, % of a core",
            sidecar,
            Limit::Value(5.0, 2.0),
        ),
        Row::new(
            "watch: private KiB of a viewer after the flood",
            private,
            Limit::Value(4096.0, 2048.0),
        ),
        Row::new(
            "flood watched by 1, rate to unwatched",
            one,
            Limit::AtLeast(0.95, 0.98),
        ),
        Row::new(
            format!("flood watched by {CROWD}, rate to unwatched"),
            many,
            Limit::AtLeast(0.95, 0.98),
        ),
    ])
}

fn watched_flood(shop: &Workshop, plan: &Plan, crowd: usize) -> io::Result<Flood> {
    let size = kilobytes(plan.flood_mb * LONGER);
    let mut terminal = ready(shop.start(Candidate::Agent, &["flood-tui", &size])?)?;
    let viewers = (0..crowd)
        .map(|_| {
            let mut viewer = shop.start_viewer()?;
            viewer.wait_for(b"read-only", READY_WITHIN)?;
            Ok(viewer)
        })
        .collect::<io::Result<Vec<Terminal>>>()?;
    let pids: Vec<i32> = viewers.iter().map(Terminal::pid).collect();
    let wrapper = shop.wrapper(&terminal);
    let before = (procfs::costs(&wrapper), procfs::costs(&pids));
    let over = AtomicBool::new(false);
    let seconds = std::thread::scope(|scope| {
        // Somebody has to be the viewers' terminals.
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                for viewer in &viewers {
                    viewer.drain();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let took = flood(&mut terminal);
        over.store(true, Ordering::Relaxed);
        took
    })?
    .as_secs_f64();
    let spent = (
        procfs::costs(&wrapper) - before.0,
        procfs::costs(&pids) - before.1,
    );
    watch(&viewers, plan.settle)?;
    let private = procfs::memory(&pids).private_kib / pids.len().max(1) as f64;
    drop(viewers);
    finish(terminal);
    Ok(Flood {
        seconds,
        sidecar: spent.0.cpu_ns / 1e9,
        viewers: spent.1.cpu_ns / 1e9,
        private,
    })
}

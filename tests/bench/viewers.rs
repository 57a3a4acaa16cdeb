//! What `mosaic-fleet watch` costs: itself, the sidecar, and the pane that is watched.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::candidates::{Candidate, Workshop};
use crate::figures::{Limit, Row, Samples};
use crate::measure::{FLOOD_ROUNDS, Plan, READY_WITHIN, Rows, finish, flood, kilobytes, ready};
use crate::procfs;
use crate::terminal::{Terminal, watch};

/// Viewers at once.
const CROWD: usize = 50;

/// A flood here is so many times as long as the others: a viewer is answered ten times a second, fifty of them
/// twice, and a flood that ends before says nothing.
const LONGER: usize = 10;

/// A TUI that redraws everything a thousand times a second, watched by nobody, by one and by many; and how fast it can
/// print, watched by nobody, by one and by many.
pub fn viewers(shop: &Workshop, plan: &Plan) -> Rows {
    let mut rows = Vec::new();
    for crowd in [1, CROWD] {
        let [mut own, mut sidecar, mut private]: [Samples; 3] = Default::default();
        for _ in 0..plan.rounds {
            let spent = watched_stream(shop, plan, crowd)?;
            own.add(Candidate::Agent, spent[0]);
            sidecar.add(Candidate::Agent, spent[1]);
            private.add(Candidate::Agent, spent[2]);
        }
        let (limit, one) = match crowd {
            1 => (Limit::Value(2.5, 1.0), true),
            _ => (Limit::None, false),
        };
        let what = |what: &str| format!("1,000 frames/s watched by {crowd}: {what}");
        rows.push(Row::new(what("each viewer, % of a core"), own, limit));
        rows.push(Row::new(
            what("the sidecar more, % of a core"),
            sidecar,
            limit,
        ));
        if one {
            let limit = Limit::Value(4096.0, 2048.0);
            rows.push(Row::new(what("the viewer, private KiB"), private, limit));
        }
    }
    let (mut one, mut many) = (Samples::default(), Samples::default());
    for round in 0..plan.rounds * FLOOD_ROUNDS {
        let mut crowds = [0, 1, CROWD];
        crowds.rotate_left(round % 3);
        let mut seconds = [0.0; CROWD + 1];
        for crowd in crowds {
            seconds[crowd] = watched_flood(shop, plan, crowd)?;
        }
        one.add(Candidate::Agent, seconds[0] / seconds[1]);
        many.add(Candidate::Agent, seconds[0] / seconds[CROWD]);
    }
    let limit = Limit::AtLeast(0.95, 0.98);
    rows.push(Row::new(
        "flood watched by 1, rate to unwatched",
        one,
        limit,
    ));
    let what = format!("flood watched by {CROWD}, rate to unwatched");
    rows.push(Row::new(what, many, limit));
    Ok(rows)
}

/// So many viewers of the agent started last, each with a picture.
fn crowd_of(shop: &Workshop, crowd: usize) -> io::Result<Vec<Terminal>> {
    (0..crowd)
        .map(|_| {
            let mut viewer = shop.start_viewer()?;
            viewer.wait_for(b"read-only", READY_WITHIN)?;
            Ok(viewer)
        })
        .collect()
}

/// CPU of each viewer, and what the sidecar uses more than before and after them, both in % of a core; and the
/// private memory of each viewer in KiB.
fn watched_stream(shop: &Workshop, plan: &Plan, crowd: usize) -> io::Result<[f64; 3]> {
    let terminal = ready(shop.start(Candidate::Agent, &["stream-tui"])?)?;
    let wrapper = shop.wrapper(&terminal);
    let mut all = vec![terminal];
    let percent = |all: &[Terminal], pids: &[i32]| {
        let before = (procfs::costs(&wrapper), procfs::costs(pids), Instant::now());
        watch(all, plan.spin / 2)?;
        let ns = before.2.elapsed().as_nanos() as f64 / 100.0;
        let spent = |now: procfs::Costs, before| (now - before).cpu_ns / ns;
        io::Result::Ok((
            spent(procfs::costs(&wrapper), before.0),
            spent(procfs::costs(pids), before.1),
        ))
    };
    let (before, _) = percent(&all, &[])?;
    all.extend(crowd_of(shop, crowd)?);
    let pids: Vec<i32> = all[1..].iter().map(Terminal::pid).collect();
    watch(&all, plan.settle)?;
    let (watched, viewers) = percent(&all, &pids)?;
    let private = procfs::memory(&pids).private_kib;
    let terminal = all.swap_remove(0);
    drop(all);
    let all = [terminal];
    let (after, _) = percent(&all, &[])?;
    all.into_iter().for_each(finish);
    let each = crowd as f64;
    Ok([
        viewers / each,
        watched - (before + after) / 2.0,
        private / each,
    ])
}

/// How long a flood takes, in seconds.
fn watched_flood(shop: &Workshop, plan: &Plan, crowd: usize) -> io::Result<f64> {
    let size = kilobytes(plan.flood_mb * LONGER);
    let mut terminal = ready(shop.start(Candidate::Agent, &["flood-tui", &size])?)?;
    let viewers = crowd_of(shop, crowd)?;
    let over = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
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
    })?;
    drop(viewers);
    finish(terminal);
    Ok(took.as_secs_f64())
}

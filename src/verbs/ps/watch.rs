//! `ps --watch`: the table again and again, on a screen of its own, or one document a line.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

use nix::libc;

use super::{Viewer, colours};
use crate::cli::ps::PsOptions;
use crate::failure::{Doing, Failure, exit};
use crate::os::signals::Signals;
use crate::os::stage::{self, Stage};
use crate::pure::beat;
use crate::pure::roster::Row;
use crate::pure::roster::table::{self, Look};
use crate::pure::scroll::{Frame, Scroll};

/// One document a line, until nobody reads them or a signal ends it.
pub fn lines(viewer: &Viewer, pause: Duration) -> Result<u8, Failure> {
    loop {
        let begun = Instant::now();
        let fleet = viewer.look();
        let (manager, linger) = (fleet.manager, fleet.linger);
        let document = viewer.document(viewer.choose(fleet.rows), manager, linger);
        let mut out = io::stdout().lock();
        // A reader that has gone away (`| head`) is no failure.
        if out
            .write_all(document.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            return Ok(exit::OK);
        }
        std::thread::sleep(pause.saturating_sub(begun.elapsed()));
    }
}

/// No cursor: there is nothing to type here.
const BEGIN: &[u8] = b"\x1b[?25l";

/// After a change of size: what the terminal has made of the old frame is its own affair.
const CLEAR: &[u8] = b"\x1b[m\x1b[2J";

/// The table, live, until `q`, Ctrl-C or a signal.
///
/// # Errors
/// There is no terminal.
pub fn screen(viewer: &Viewer, options: &PsOptions, pause: Duration) -> Result<u8, Failure> {
    let doing = || "watching the fleet".to_owned();
    let mut signals = Signals::listen().doing(doing)?;
    let mut stage = Stage::enter().doing(doing)?.ok_or_else(|| {
        Failure::new(exit::USAGE, doing(), "there is no terminal here")
            .hint("--watch --json prints one document a line, anywhere")
    })?;
    stage.write(BEGIN);
    let colour = colours(options.colour, true);
    let (mut scroll, mut shown) = (Scroll::default(), Frame::default());
    let mut rows = viewer.choose(viewer.look().rows);
    let mut looked = Instant::now();
    loop {
        let size = stage.size();
        let (width, height) = (usize::from(size.cols), usize::from(size.rows));
        // A terminal that is still busy with the last frame gets the one that is true when it is done.
        if stage.is_drawn() {
            let look = Look {
                width: Some(width),
                colour,
                bare: options.bare,
            };
            let mut body = table::lines(&rows, look);
            let mut head = vec![table::cut(&heading(viewer, &rows, pause), width)];
            if !options.bare {
                head.extend(body.drain(..1));
            }
            let frame = scroll.frame(head, body, height);
            stage.write(&frame.changes(&shown));
            shown = frame;
        }
        let undrawn = (!stage.is_drawn()).then(|| stage.as_fd());
        let left = pause.saturating_sub(looked.elapsed());
        stage::wait(&[signals.readable(), stage.as_fd()], undrawn, left);
        stage.flush();
        for signal in signals.take() {
            match signal {
                libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT => {
                    return Ok(128 + u8::try_from(signal).unwrap_or(0));
                }
                libc::SIGWINCH => {
                    stage.write(CLEAR);
                    shown = Frame::default();
                }
                _ => {}
            }
        }
        // A terminal that is gone ends it, too.
        let typed = stage.typed().map(Option::unwrap_or_default);
        if !typed.is_ok_and(|keys| scroll.press(&keys, height)) {
            return Ok(exit::OK);
        }
        if looked.elapsed() >= pause {
            rows = viewer.choose(viewer.look().rows);
            looked = Instant::now();
        }
    }
}

/// What stands above the table.
fn heading(viewer: &Viewer, rows: &[Row], pause: Duration) -> String {
    let flagged = rows.iter().filter(|row| !row.flags.is_empty()).count();
    let healthy = rows.iter().filter(|row| row.health == "healthy").count();
    format!(
        "{} shown, {healthy} healthy, {flagged} flagged · {} · {} · every {} s · q ends",
        rows.len(),
        table::clean(&viewer.place.host),
        beat::stamp(SystemTime::now()),
        pause.as_secs_f32(),
    )
}

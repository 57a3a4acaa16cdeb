//! `ps --watch`: the table again and again, on a screen of its own, or one document a line.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

use nix::libc;

use super::{Viewer, colours};
use crate::cli::ps::PsOptions;
use crate::failure::{Doing, Failure, exit};
use crate::os::signals::Signals;
use crate::os::tty::Outer;
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

/// The other screen, no cursor, no wrapping.
const BEGIN: &[u8] = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";

/// The same, taken back.
const END: &[u8] = b"\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The terminal while it shows the fleet. Dropping it gives it back as it was.
struct Screen {
    outer: Outer,
    shown: Frame,
}

impl Screen {
    /// Takes the terminal.
    fn take() -> Result<Screen, Failure> {
        let doing = || "watching the fleet".to_owned();
        if !io::stdout().is_terminal() {
            return Err(no_terminal());
        }
        let outer = Outer::take().doing(doing)?.ok_or_else(no_terminal)?;
        put(BEGIN);
        Ok(Screen {
            outer,
            shown: Frame::default(),
        })
    }

    fn show(&mut self, frame: Frame) {
        put(&frame.changes(&self.shown));
        self.shown = frame;
    }

    /// After a change of size: what the terminal has made of the old frame is its own affair.
    fn clear(&mut self) {
        put(b"\x1b[m\x1b[2J");
        self.shown = Frame::default();
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        put(END);
    }
}

fn no_terminal() -> Failure {
    Failure::new(
        exit::USAGE,
        "watching the fleet",
        "there is no terminal here",
    )
    .hint("--watch --json prints one document a line, anywhere")
}

/// Writes to the terminal; one that has gone away ends the watch by SIGHUP.
fn put(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// The table, live, until `q`, Ctrl-C or a signal.
///
/// # Errors
/// There is no terminal.
pub fn screen(viewer: &Viewer, options: &PsOptions, pause: Duration) -> Result<u8, Failure> {
    let mut signals = Signals::listen().doing(|| "listening to signals".into())?;
    let mut screen = Screen::take()?;
    let colour = colours(options.colour, true);
    let mut scroll = Scroll::default();
    let mut rows = viewer.choose(viewer.look().rows);
    let mut looked = Instant::now();
    loop {
        let size = screen.outer.size();
        let (width, height) = (usize::from(size.cols), usize::from(size.rows));
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
        screen.show(scroll.frame(head, body, height));
        signals.wait(Some(&screen.outer), pause.saturating_sub(looked.elapsed()));
        for signal in signals.take() {
            match signal {
                libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT => {
                    return Ok(128 + u8::try_from(signal).unwrap_or(0));
                }
                libc::SIGWINCH => screen.clear(),
                _ => {}
            }
        }
        // A terminal that is gone ends it, too.
        let typed = screen.outer.typed();
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

use serde_json::Value;

use super::*;
use crate::units::TermSize;

/// A screen and its history, looked at whenever the screen rests.
struct Seen {
    screen: Screen,
    history: History,
}

impl Seen {
    fn new(cols: u16, rows: u16) -> Seen {
        Seen {
            screen: Screen::new(TermSize { cols, rows }),
            history: History::new("t".into()),
        }
    }

    fn prints(&mut self, text: &str) {
        self.screen.feed(text.as_bytes());
        self.rests();
    }

    fn rests(&mut self) {
        if let Some(left) = self.screen.take_left(std::time::Instant::now()) {
            self.history.take(left);
        }
        if self.history.wants_look(&self.screen) {
            self.history.settled(&self.screen);
        }
    }

    fn resizes(&mut self, cols: u16, rows: u16) {
        self.screen.resize(TermSize { cols, rows });
        self.history.resized();
        self.rests();
    }

    /// Draws a full-screen program: these rows, and a composer below them.
    fn draws(&mut self, rows: &[String], status: &str) {
        let mut frame = String::from("\x1b[?1049h\x1b[H");
        for row in rows {
            frame.push_str(&format!("{row}\x1b[K\r\n"));
        }
        frame.push_str(&format!("\x1b[K\r\n❯ composer\x1b[K\r\n{status}\x1b[K"));
        self.prints(&frame);
    }

    /// The lines of the history, and of the screen below them.
    fn lines(&self) -> (Vec<String>, Vec<String>) {
        let line = self
            .history
            .line(&Origin::default(), &self.screen, None, u64::MAX);
        let document: Value = serde_json::from_slice(&line).unwrap_or_default();
        let text = |value: &Value| match value["missing"].as_u64() {
            Some(n) => format!("missing {n}"),
            None => value["text"]
                .as_str()
                .or(value.as_str())
                .unwrap_or_default()
                .to_owned(),
        };
        let all = |key: &str| {
            let list = document[key].as_array().cloned().unwrap_or_default();
            list.iter()
                .map(text)
                .map(|l| sgr::shown(&l, false))
                .collect()
        };
        (all("lines"), all("screen"))
    }

    fn all(&self) -> Vec<String> {
        let (mut lines, screen) = self.lines();
        lines.extend(screen);
        lines.retain(|line| !line.is_empty());
        lines
    }
}

fn rows(from: usize, to: usize) -> Vec<String> {
    (from..=to).map(|n| format!("said row {n:03}")).collect()
}

fn typed(from: usize, to: usize) -> String {
    rows(from, to)
        .iter()
        .map(|row| format!("{row}\r\n"))
        .collect()
}

#[test]
fn the_main_screen_gives_every_line_once_whatever_its_size() {
    let mut seen = Seen::new(30, 10);
    seen.prints(&typed(1, 40));
    for (n, (cols, lines)) in [(30, 25), (50, 6), (30, 12), (30, 40), (30, 5)]
        .into_iter()
        .enumerate()
    {
        seen.resizes(cols, lines);
        assert_eq!(seen.all(), rows(1, 40 + 7 * n), "at {cols}x{lines}");
        seen.prints(&typed(41 + 7 * n, 47 + 7 * n));
        assert_eq!(
            seen.all(),
            rows(1, 47 + 7 * n),
            "at {cols}x{lines}, printed"
        );
    }
}

#[test]
fn a_program_that_clears_and_draws_all_of_it_again_says_nothing_twice() {
    let mut seen = Seen::new(30, 10);
    seen.prints(&typed(1, 40));
    for more in [41, 48, 60] {
        seen.prints(&format!("\x1b[2J\x1b[3J\x1b[H{}", typed(1, more)));
        assert_eq!(seen.all(), rows(1, more));
    }
    // A new transcript is no repetition.
    seen.prints(&format!("\x1b[2J\x1b[3J\x1b[H{}", typed(500, 530)));
    let all = seen.all();
    assert_eq!(all[all.len() - 31..], rows(500, 530));
}

#[test]
fn what_moves_up_and_is_gone_is_history_and_what_changes_in_its_place_is_not() {
    let mut seen = Seen::new(30, 12);
    for (n, last) in [9, 10, 11, 14, 15, 15, 15, 18].into_iter().enumerate() {
        seen.draws(&rows(last - 8, last), &format!("⠋ working {n}s"));
        let (lines, screen) = seen.lines();
        assert_eq!(lines, rows(1, last - 9), "{n}");
        assert_eq!(screen[..9], rows(last - 8, last));
        assert_eq!(screen[11], format!("⠋ working {n}s"));
    }
}

#[test]
fn a_header_that_stays_is_no_history() {
    let mut seen = Seen::new(30, 14);
    for last in [8, 9, 11, 12] {
        let mut screen = vec!["a program 1.0".to_owned(), String::new()];
        screen.extend(rows(last - 7, last));
        seen.draws(&screen, "ready");
        assert_eq!(seen.lines().0, rows(1, last - 8));
    }
}

#[test]
fn scrolling_back_and_growing_bring_nothing_twice() {
    let mut seen = Seen::new(30, 12);
    for last in 9..=30 {
        seen.draws(&rows(last - 8, last), "ready");
    }
    // A person looks back, page by page, and returns.
    for last in [26, 20, 14, 12, 18, 24, 28, 30] {
        seen.draws(&rows(last - 8, last), "ready");
        assert_eq!(seen.lines().0, rows(1, 21), "back at {last}");
    }
    seen.draws(&rows(23, 31), "ready");
    assert_eq!(seen.lines().0, rows(1, 22));
    seen.resizes(30, 18);
    seen.draws(&rows(17, 31), "ready");
    assert_eq!(
        seen.lines(),
        (rows(1, 22), {
            let mut screen = rows(23, 31);
            screen.extend([String::new(), "❯ composer".into(), "ready".into()]);
            screen
        })
    );
    seen.draws(&rows(19, 33), "ready");
    assert_eq!(seen.lines().0, rows(1, 22), "they were there before");
    seen.draws(&rows(25, 39), "ready");
    assert_eq!(seen.lines().0, rows(1, 24));
}

#[test]
fn more_than_a_screen_between_two_looks_is_a_gap() {
    let mut seen = Seen::new(30, 12);
    seen.draws(&rows(1, 9), "ready");
    seen.draws(&rows(31, 39), "ready");
    let mut wanted = rows(1, 9);
    wanted.push("missing 0".into());
    assert_eq!(seen.lines().0, wanted);
}

#[test]
fn a_spinner_or_a_dialog_that_goes_away_is_no_history() {
    let mut seen = Seen::new(30, 20);
    let mut screen = rows(1, 9);
    screen.extend(["".into(), "✽ Pondering… (3s)".into()]);
    seen.draws(&screen, "esc to interrupt");
    seen.draws(&rows(1, 9), "ready");
    screen.extend([
        "Do you want to proceed?".into(),
        "❯ 1. Yes".into(),
        "  2. No".into(),
    ]);
    seen.draws(&screen, "esc to cancel");
    seen.draws(&rows(1, 10), "ready");
    assert_eq!(seen.lines().0, Vec::<String>::new());
}

#[test]
fn it_is_bounded_and_a_run_of_blank_lines_is_one() {
    let mut seen = Seen::new(30, 10);
    seen.prints("a\r\n\r\n\r\n\r\nb\r\n");
    seen.prints(&"\r\n".repeat(10));
    assert_eq!(seen.lines().0, ["a", "", "b", ""]);
    for n in 0..300 {
        seen.prints(&typed(n * 10, n * 10 + 9));
    }
    assert!(seen.lines().0.len() <= LINES_MAX);
    let mut seen = Seen::new(1_000, 10);
    for _ in 0..400 {
        seen.prints(&format!("{}\r\n", "x".repeat(900)));
    }
    assert!(seen.history.bytes <= BYTES_MAX);
}

#[test]
fn a_wrapped_line_is_one_line_at_any_size() {
    let mut seen = Seen::new(40, 10);
    let long = "0123456789".repeat(13);
    let numbers =
        |from: usize, to: usize| -> Vec<String> { (from..=to).map(|n| n.to_string()).collect() };
    let mut wanted = rows(1, 60);
    wanted.push(long);
    wanted.extend(numbers(900, 920));
    seen.prints(
        &wanted
            .iter()
            .map(|row| format!("{row}\r\n"))
            .collect::<String>(),
    );
    assert_eq!(seen.all(), wanted);
    for (cols, lines) in [(40, 30), (70, 8), (40, 12)] {
        seen.resizes(cols, lines);
        assert_eq!(seen.all(), wanted, "{cols}x{lines}");
        wanted.push(format!("at {cols}x{lines}"));
        seen.prints(&format!("at {cols}x{lines}\r\n"));
        assert_eq!(seen.all(), wanted, "{cols}x{lines}");
    }
    wanted.extend(numbers(800, 850));
    seen.prints(
        &numbers(800, 850)
            .iter()
            .map(|row| format!("{row}\r\n"))
            .collect::<String>(),
    );
    assert_eq!(seen.all(), wanted);
}

#[test]
fn a_row_that_is_blanked_before_it_leaves_is_there_all_the_same() {
    let mut seen = Seen::new(30, 12);
    seen.draws(&rows(1, 9), "ready");
    let mut screen = rows(2, 10);
    screen[0].clear();
    seen.draws(&screen, "ready");
    screen.remove(0);
    screen.extend(rows(11, 11));
    seen.draws(&screen, "ready");
    let mut wanted = rows(1, 2);
    wanted.push(String::new());
    assert_eq!(seen.lines().0, wanted);
}

/// Prints without a rest, in pieces that are taken whole.
fn runs(seen: &mut Seen, lines: &[String]) {
    for piece in lines.chunks(500) {
        let text: String = piece.iter().map(|line| format!("{line}\r\n")).collect();
        seen.screen.feed(text.as_bytes());
        if let Some(left) = seen.screen.take_left(std::time::Instant::now()) {
            seen.history.take(left);
        }
    }
}

/// A resize with that much behind it before the screen rests.
fn resized_and_ran(lines: &[String]) -> Seen {
    let mut seen = Seen::new(30, 10);
    seen.prints(&typed(1, 40));
    seen.screen.resize(TermSize { cols: 40, rows: 10 });
    seen.history.resized();
    runs(&mut seen, lines);
    seen.rests();
    seen
}

#[test]
fn of_much_that_leaves_between_a_resize_and_the_rest_the_last_is_kept_without_a_hole() {
    let seen = resized_and_ran(&rows(41, 3_500));
    let all = seen.all();
    assert_eq!(all, rows(3_501 - all.len(), 3_500));
    assert!(all.len() >= LINES_MAX, "{}", all.len());
}

#[test]
fn what_could_not_be_kept_between_a_resize_and_the_rest_is_said_to_be_missing() {
    // Few lines of text, and a run of blank ones is one: all that was kept of this fits into the history.
    let mut printed = Vec::new();
    for row in rows(41, 140) {
        printed.push(row);
        printed.extend(std::iter::repeat_n(String::new(), 24));
    }
    let all = resized_and_ran(&printed).all();
    // The first 10 rows of the screen were lines of before; 9 of the last ones are on it.
    let missing = printed.len() as u64 + 9 - 9 - 2 * LINES_MAX as u64;
    let kept = all
        .iter()
        .position(|line| *line == format!("missing {missing}"));
    let first = kept.map(|at| all[at + 1..].to_vec()).unwrap_or_default();
    assert_eq!(first, rows(141 - first.len(), 140), "{all:?}");
    assert_eq!(all[..all.len() - first.len() - 1], rows(1, 31));
}

#[test]
fn a_long_transcript_that_is_drawn_again_after_a_resize_is_not_taken_twice_and_has_no_hole() {
    let mut seen = Seen::new(30, 10);
    runs(&mut seen, &rows(1, 5_000));
    seen.rests();
    let before = seen.all();
    seen.screen.resize(TermSize { cols: 40, rows: 10 });
    seen.history.resized();
    runs(&mut seen, &rows(1, 5_004));
    seen.rests();
    let after = seen.all();
    assert_eq!(after.last(), rows(5_004, 5_004).last());
    assert_eq!(after, rows(5_005 - after.len(), 5_004));
    assert!(after.len().abs_diff(before.len()) <= 4);
}

#[test]
fn a_flood_is_one_gap() {
    let mut seen = Seen::new(30, 10);
    seen.screen.hurry(true);
    for _ in 0..200 {
        seen.prints(&typed(1, 30));
    }
    seen.screen.hurry(false);
    seen.prints(&typed(31, 60));
    let (lines, _) = seen.lines();
    let gaps: Vec<_> = lines.iter().filter(|l| l.starts_with("missing")).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(lines.ends_with(&rows(40, 51)), "{lines:?}");
}

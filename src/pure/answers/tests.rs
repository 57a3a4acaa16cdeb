//! What is asked, through the screen model and in any cut, and what is answered.

use std::time::{Duration, Instant, SystemTime};

use super::{IN_WINDOW, PENDING_MAX, WINDOW};
use crate::pure::delivery::Written;
use crate::pure::harness::{Effect, Harness, Input, Job, Now};
use crate::pure::profile::Profiles;
use crate::pure::screen::Screen;
use crate::units::TermSize;

fn alone() -> Screen {
    let mut screen = Screen::new(TermSize::DEFAULT);
    screen.answers().be_alone();
    screen
}

fn answers(asked: &str) -> String {
    let mut screen = alone();
    screen.feed(asked.as_bytes());
    String::from_utf8(screen.answers().take()).expect("text")
}

#[track_caller]
fn assert_answers(cases: &[(&str, &str)]) {
    for (asked, answer) in cases {
        assert_eq!(answers(asked), *answer, "asked {asked:?}");
    }
}

#[test]
fn it_says_what_it_is() {
    assert_answers(&[
        ("\x1b[c", "\x1b[?62;22c"),
        ("\x1b[0c", "\x1b[?62;22c"),
        ("\x1b[>c", "\x1b[>1;10;0c"),
        (
            "\x1b[>0q",
            concat!("\x1bP>|mosaic-agent(", env!("CARGO_PKG_VERSION"), ")\x1b\\"),
        ),
        ("\x1b[?u", "\x1b[?0u"),
        ("\x1b[5n", "\x1b[0n"),
        (
            "\x1b[14t\x1b[16t\x1b[18t",
            "\x1b[4;640;960t\x1b[6;16;8t\x1b[8;40;120t",
        ),
    ]);
}

#[test]
fn a_mode_is_what_the_model_says_and_one_it_does_not_know_is_unknown() {
    assert_answers(&[
        ("\x1b[?2026$p", "\x1b[?2026;2$y"),
        ("\x1b[?2026h\x1b[?2026$p", "\x1b[?2026;1$y"),
        (
            "\x1b[?2004h\x1b[?2004$p\x1b[?2004l\x1b[?2004$p",
            "\x1b[?2004;1$y\x1b[?2004;2$y",
        ),
        ("\x1b[?25$p\x1b[?25l\x1b[?25$p", "\x1b[?25;1$y\x1b[?25;2$y"),
        ("\x1b[?1049h\x1b[?1049$p", "\x1b[?1049;1$y"),
        (
            "\x1b[?1000h\x1b[?1006h\x1b[?1000$p\x1b[?1003$p\x1b[?1006$p",
            "\x1b[?1000;1$y\x1b[?1003;2$y\x1b[?1006;1$y",
        ),
        ("\x1b[?1004$p", "\x1b[?1004;0$y"),
        ("\x1b[?2027$p", "\x1b[?2027;0$y"),
        ("\x1b[4$p", "\x1b[4;0$y"),
    ]);
}

#[test]
fn the_cursor_is_where_it_was_when_it_was_asked_for() {
    let wide = "w".repeat(120);
    assert_answers(&[
        ("ab\x1b[6ncd\x1b[6n", "\x1b[1;3R\x1b[1;5R"),
        ("\x1b[7;9H\x1b[?6n\x1b[H", "\x1b[?7;9R"),
        (&format!("{wide}\x1b[6n"), "\x1b[1;120R"),
        // A size of text that is not supported moves nothing.
        ("\x1b]66;w=2; \x1b\\\x1b[6n", "\x1b[1;1R"),
    ]);
}

#[test]
fn colours_are_those_of_a_dark_xterm() {
    assert_answers(&[
        ("\x1b]10;?\x07", "\x1b]10;rgb:e5e5/e5e5/e5e5\x1b\\"),
        ("\x1b]11;?\x1b\\", "\x1b]11;rgb:0000/0000/0000\x1b\\"),
        (
            "\x1b]11;?;?\x07",
            "\x1b]11;rgb:0000/0000/0000\x1b\\\x1b]12;rgb:e5e5/e5e5/e5e5\x1b\\",
        ),
        (
            "\x1b]4;1;?;196;?;244;?\x07",
            "\x1b]4;1;rgb:cdcd/0000/0000\x1b\\\x1b]4;196;rgb:ffff/0000/0000\x1b\\\x1b]4;244;rgb:8080/8080/8080\x1b\\",
        ),
        ("\x1b]4;256;?;-1;?;x;?;;?\x07", ""),
        ("\x1b]11;#102030\x07\x1b]4;1;red\x07", ""),
    ]);
}

#[test]
fn capabilities_and_settings_are_asked_by_device_control_strings() {
    assert_answers(&[
        (
            "\x1bP+q544E\x1b\\",
            "\x1bP1+r544e=787465726d2d323536636f6c6f72\x1b\\",
        ),
        (
            "\x1bP+q436f;6d73\x1b\\",
            "\x1bP1+r436f=323536\x1b\\\x1bP0+r\x1b\\",
        ),
        ("\x1bP$qm\x1b\\", "\x1bP0$r\x1b\\"),
        ("\x1bP+q544e\x18\x1b\\", ""),
        ("\x1bP+q544e\x1b[c", "\x1b[?62;22c"),
        ("\x1bPq#0;2;0;0;0~-\x1b\\", ""),
    ]);
}

#[test]
fn what_an_xterm_does_not_know_is_not_answered() {
    assert_answers(&[
        ("\x1b]99;i=1:p=?;\x1b\\", ""),
        ("\x1b]1337;Capabilities\x1b\\", ""),
        ("\x1b]52;c;?\x07\x1b[21t", ""),
        ("\x1b[?62;22c\x1b[1;1R\x1b[?2026;2$y\x1b[0n", ""),
    ]);
}

#[test]
fn answers_come_in_the_order_of_the_questions_however_the_output_is_cut() {
    let asked = "漢\x1b[>0q\x1b[?u\x1b]7501;?\x07é\x1bP+q6d73\x1b\\\x1b[6n\x1b[c";
    let whole = answers(asked);
    assert!(whole.ends_with("\x1b[?0u\x1b]7501;?\x1b\\\x1bP0+r\x1b\\\x1b[1;4R\x1b[?62;22c"));
    for cut in 0..asked.len() {
        let mut screen = alone();
        screen.feed(&asked.as_bytes()[..cut]);
        screen.feed(&asked.as_bytes()[cut..]);
        assert_eq!(screen.answers().take(), whole.as_bytes(), "cut at {cut}");
    }
}

#[test]
fn with_an_outer_terminal_only_what_no_terminal_knows_is_answered() {
    let mut screen = Screen::new(TermSize::DEFAULT);
    screen.feed(b"\x1b[c\x1b[6n\x1b]11;?\x07\x1bP+q544e\x1b\\\x1b]7501;?\x07\x1b[>0q");
    assert_eq!(screen.answers().take(), b"\x1b]7501;?\x1b\\");
}

#[test]
fn a_flood_of_questions_is_answered_within_bounds_and_the_next_second_again() {
    let mut screen = alone();
    let start = Instant::now();
    let mut given = 0;
    for part in 0..100 {
        screen.answers().at(start + WINDOW * part / 101);
        screen.feed("\x1b[5n".repeat(1_000).as_bytes());
        given += screen.answers().take().len() / 4;
    }
    assert_eq!(given, IN_WINDOW as usize);
    screen.answers().at(start + WINDOW);
    screen.feed(b"\x1b[5n");
    assert_eq!(screen.answers().take(), b"\x1b[0n");
}

#[test]
fn answers_that_nobody_takes_do_not_grow() {
    let mut screen = alone();
    for second in 0..1_000 {
        let now = Instant::now() + Duration::from_secs(second);
        screen.answers().at(now);
        screen.feed("\x1bP+q544e\x1b\\".repeat(400).as_bytes());
    }
    let waits = screen.answers().take().len();
    assert!((PENDING_MAX..PENDING_MAX + 64).contains(&waits), "{waits}");
}

/// A file that is shown must not be able to type.
#[test]
fn no_answer_repeats_a_text_that_was_asked() {
    for hostile in [
        "\x1bP+q;rm -rf x\r;\x1b\\",
        "\x1bP$q\rEVIL\r\x1b\\",
        "\x1b]4;\rEVIL\r;?\x07",
        "\x1b]10;EVIL;?\x07",
        "\x1b]7501;?;EVIL\x07",
        "\x1b[?99999999999$p",
    ] {
        let said = answers(hostile);
        assert!(!said.contains(['\r', '\n']), "{said:?}");
        assert!(!said.contains("EVIL") && !said.contains("rm"), "{said:?}");
    }
    let endless = format!("\x1bP+q{}\x1b\\\x1b[5n", "544e;".repeat(1_000_000));
    assert_eq!(answers(&endless), "\x1b[0n");
}

fn typed(harness: &mut Harness) -> Vec<(Job, Vec<u8>)> {
    let effects = std::iter::from_fn(|| harness.poll());
    let typed = |effect| match effect {
        Effect::Type { job, bytes, .. } => Some((job, bytes)),
        _ => None,
    };
    effects.filter_map(typed).collect()
}

#[test]
fn a_runtime_that_does_not_read_gets_no_second_write_and_loses_no_answer() {
    let mono = Instant::now();
    let now = Now {
        mono,
        wall: SystemTime::UNIX_EPOCH,
    };
    let size = TermSize::DEFAULT;
    let mut harness = Harness::new(Profiles::with(&[]), size, WINDOW, "t".into(), now);
    harness.be_the_terminal();
    harness.handle(Input::Output(b"\x1b[5n"), now);
    let first = typed(&mut harness);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].1, b"\x1b[0n");
    harness.handle(Input::Output(b"\x1b[6n"), now);
    harness.handle(Input::Output(b"\x1b[c"), now);
    assert_eq!(typed(&mut harness), []);
    harness.handle(Input::Written(first[0].0, Written::At(mono)), now);
    let second = typed(&mut harness);
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].1, b"\x1b[1;1R\x1b[?62;22c");
}

//! Random screens, drawn anew: equal to the original, and still equal after both have gone on.
//!
//! The sequence is the same in every run. `MOSAIC_RANDOM_SCREENS` says how many there are to be.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{bytes, fingerprint, tests::seen};

/// How many unless the environment says otherwise: some seconds of a debug build.
const SCREENS: u64 = 600;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u16) -> u16 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u16::try_from((z ^ (z >> 31)) % u64::from(n)).expect("below a u16")
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = self.below(u16::try_from(words.len()).expect("few"));
        words[usize::from(at)]
    }
}

enum Step {
    Print(String),
    Resize(u16, u16),
}

const CHARACTERS: [&str; 12] = [
    "a",
    "b",
    "c",
    " ",
    "é",
    "─",
    "漢",
    "👍",
    "e\u{301}",
    "❤\u{fe0f}",
    "\u{301}",
    "👨\u{200d}👩",
];

const SGR: [&str; 11] = [
    "",
    "1",
    "2",
    "3",
    "4;7",
    "22",
    "31",
    "42",
    "48;5;17",
    "48;2;9;8;7",
    "0;104",
];

fn step(random: &mut Random, rows: u16, cols: u16) -> Step {
    let few = 1 + random.below(4);
    let (row, col) = (1 + random.below(rows + 1), 1 + random.below(cols + 1));
    Step::Print(match random.below(40) {
        0..=6 => (0..=random.below(cols * 2))
            .map(|_| random.of(&CHARACTERS))
            .collect(),
        7..=8 => "x".repeat(cols.into()),
        9..=13 => format!("\x1b[{}m", random.of(&SGR)),
        14..=16 => format!("\x1b[{row};{col}H"),
        17..=19 => random
            .of(&[
                "\x1b[J", "\x1b[1J", "\x1b[2J", "\x1b[K", "\x1b[1K", "\x1b[2K",
            ])
            .into(),
        20 => format!("\x1b[{few}X"),
        21..=22 => format!("\x1b[{few};{}r", few + row),
        23..=27 => format!("\x1b[{few}{}", random.of(&["L", "M", "@", "P", "S", "T"])),
        28..=30 => random
            .of(&["\n", "\r\n", "\r", "\x08", "\t", "\x1bM"])
            .into(),
        31..=32 => format!(
            "\x1b[{few}{}",
            random.of(&["A", "B", "C", "D", "E", "G", "d"])
        ),
        33..=34 => random
            .of(&["\x1b[?47h", "\x1b[?47l", "\x1b[?1049h", "\x1b[?1049l"])
            .into(),
        35..=36 => random
            .of(&["\x1b7", "\x1b8", "\x1b[?6h", "\x1b[?6l"])
            .into(),
        37 => random
            .of(&[
                "\x1b[?25l",
                "\x1b[?25h",
                "\x1b[?2004h",
                "\x1b[?1h",
                "\x1b[?1006h",
            ])
            .into(),
        38 => {
            let size =
                |n: u16, less: u16| (n + random.below(2 * less + 1)).saturating_sub(less).max(2);
            let mut size = size;
            return Step::Resize(size(rows, 2), size(cols, 3));
        }
        _ => "lorem ipsum".into(),
    })
}

fn cells(n: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(n).expect("not zero")
}

/// What was done to them; none if the crate has failed, which it does with some characters in the last column.
fn play(random: &mut Random, steps: u16, screens: &mut [&mut vt100::Parser]) -> Option<String> {
    let mut done = String::new();
    let played = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..steps {
            let (rows, cols) = screens[0].screen().size();
            match step(random, rows.get(), cols.get()) {
                Step::Print(text) => {
                    done += &format!("{text:?} ");
                    for screen in &mut *screens {
                        screen.process(text.as_bytes());
                    }
                }
                Step::Resize(rows, cols) => {
                    done += &format!("{rows}x{cols} ");
                    for screen in &mut *screens {
                        screen.set_size(cells(rows), cells(cols));
                    }
                }
            }
        }
    }));
    played.ok().map(|()| done)
}

/// Whether one of the two screens has a wide character whose second half the crate has lost. It is drawn as what is
/// left of it, and may go on otherwise: the crate fails when it is overwritten.
fn is_damaged(screen: &vt100::Screen) -> bool {
    let other = super::after(screen, 0, super::other(screen));
    let (rows, cols) = screen.size();
    let mut places = (0..rows.get()).flat_map(|row| (0..cols.get()).map(move |col| (row, col)));
    places.any(|(row, col)| {
        [screen, other.screen()].iter().any(|screen| {
            let at = |col| screen.cell(row, col);
            at(col).is_some_and(vt100::Cell::is_wide)
                && !at(col + 1).is_some_and(vt100::Cell::is_wide_continuation)
        })
    })
}

#[test]
fn a_random_screen_drawn_anew_is_the_same_and_goes_on_alike() {
    let screens = std::env::var("MOSAIC_RANDOM_SCREENS");
    let screens = screens
        .ok()
        .map_or(SCREENS, |n| n.parse().expect("a number"));
    let (mut compared, mut damaged) = (0, 0);
    for seed in 0..screens {
        let mut random = Random(seed);
        let (rows, cols) = match random.below(20) {
            0 => (24, 80),
            _ => (2 + random.below(9), 2 + random.below(18)),
        };
        let mut original = vt100::Parser::new(cells(rows), cells(cols), 0);
        let steps = 1 + random.below(60);
        let Some(done) = play(&mut random, steps, &mut [&mut original]) else {
            continue;
        };
        let (rows, cols) = original.screen().size();
        let mut double = vt100::Parser::new(rows, cols, 0);
        double.process(&bytes(original.screen()));
        assert_eq!(
            fingerprint(double.screen()),
            fingerprint(original.screen()),
            "screen {seed}, {rows}x{cols}: {done}"
        );
        if is_damaged(original.screen()) {
            damaged += 1;
            continue;
        }
        assert_eq!(seen(double.screen()), seen(original.screen()), "{done}");
        let steps = 1 + random.below(40);
        let Some(then) = play(&mut random, steps, &mut [&mut original, &mut double]) else {
            continue;
        };
        assert_eq!(
            fingerprint(double.screen()),
            fingerprint(original.screen()),
            "screen {seed}, {rows}x{cols}: {done} and then {then}"
        );
        compared += 1;
    }
    println!("{compared} of {screens} screens compared, {damaged} damaged");
    assert!(compared > screens / 2, "{compared}");
}

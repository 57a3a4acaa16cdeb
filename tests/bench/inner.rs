//! The program behind the wrappers: this very benchmark, started again with `--inner MODE [KB or SOCKET]`.
//!
//! Every mode ends at end of file or at a ^D, so that the benchmark can always take it back through the
//! same terminal it came by.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{OutputFlags, SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::time::{ClockId, clock_gettime};

/// Printed when the program is ready to be driven. No flood contains a `~`.
pub const READY: &[u8] = b"~ready~";
/// Printed behind a flood.
pub const DONE: &[u8] = b"~done~";
/// The only byte `hello` prints.
pub const HELLO: &[u8] = b"+";
/// Starts a flood.
pub const GO: &[u8] = b"g";
/// Ends the program.
pub const QUIT: u8 = 0x04;

/// Runs a mode; `arguments` are those behind `--inner`.
pub fn run(arguments: &[String]) -> io::Result<()> {
    let mode = arguments.first().map_or("", String::as_str);
    let size = arguments.get(1).and_then(|kb| kb.parse().ok());
    let bytes = size.unwrap_or(0_usize) * 1024;
    match mode {
        "echo" => echo(),
        "hello" => hello(),
        "idle" => idle(),
        "tell" => tell(arguments.get(1).map_or("", String::as_str)),
        "spin" => spin(),
        "stream-tui" => stream(&tui_frames()),
        "flood-text" => flood(&[text_pages()], bytes, true),
        "flood-tui" => flood(&[tui_frames()], bytes, false),
        // Text first, frames after it: history and screen are both full at the end.
        "flood-both" => flood(&[text_pages(), tui_frames()], bytes, true),
        _ => Err(io::Error::other(format!("no inner mode `{mode}`"))),
    }
}

/// Raw input; output is left alone where `cooked_output` says so (a plain program's lines).
fn raw(cooked_output: bool) -> io::Result<()> {
    let stdin = io::stdin();
    let mut modes = tcgetattr(&stdin)?;
    cfmakeraw(&mut modes);
    if cooked_output {
        modes
            .output_flags
            .insert(OutputFlags::OPOST | OutputFlags::ONLCR);
    }
    tcsetattr(&stdin, SetArg::TCSANOW, &modes)?;
    Ok(())
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Hands every piece of input to `each`, until the end.
fn for_each_input(mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut stdin = io::stdin().lock();
    let mut buffer = [0; 256];
    loop {
        let got = stdin.read(&mut buffer)?;
        if got == 0 || buffer[..got].contains(&QUIT) {
            return Ok(());
        }
        each(&buffer[..got])?;
    }
}

fn echo() -> io::Result<()> {
    raw(false)?;
    print(READY)?;
    for_each_input(print)
}

/// Prints before it does anything else: the time until then is the wrapper's start.
fn hello() -> io::Result<()> {
    print(HELLO)?;
    for_each_input(|_| Ok(()))
}

fn idle() -> io::Result<()> {
    raw(false)?;
    print(READY)?;
    for_each_input(|_| Ok(()))
}

/// Tells the benchmark when it had set raw mode and printed: in a detached session nobody sees it.
fn tell(socket: &str) -> io::Result<()> {
    raw(false)?;
    print(READY)?;
    let ready = monotonic()?.as_nanos().to_string();
    UnixDatagram::unbound()?.send_to(ready.as_bytes(), socket)?;
    for_each_input(|_| Ok(()))
}

/// A clock that is the same in every process.
pub fn monotonic() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

/// Redraws one short line ten times a second, as an agent at work does.
fn spin() -> io::Result<()> {
    raw(false)?;
    print(READY)?;
    let stdin = io::stdin();
    for tick in 0_usize.. {
        let mut input = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut input, PollTimeout::from(100_u8))? > 0 {
            return Ok(());
        }
        let glyph = SPINNER[tick % SPINNER.len()];
        let line = format!(
            "\x1b[?2026h\r\x1b[38;5;208m{glyph}\x1b[0m Working… ({}s)\x1b[K\x1b[?2026l",
            tick / 10
        );
        print(line.as_bytes())?;
    }
    Ok(())
}

/// Redraws everything a thousand times a second (2 MB), whoever may see that.
fn stream(frames: &[Vec<u8>]) -> io::Result<()> {
    raw(false)?;
    print(READY)?;
    let stdin = io::stdin();
    for frame in frames.iter().cycle() {
        let mut input = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut input, PollTimeout::from(1_u8))? > 0 {
            return Ok(());
        }
        print(frame)?;
    }
    Ok(())
}

/// At every key: so many bytes of each kind, then the marker.
fn flood(kinds: &[Vec<Vec<u8>>], bytes: usize, cooked_output: bool) -> io::Result<()> {
    raw(cooked_output)?;
    print(READY)?;
    for_each_input(|_| {
        kinds.iter().try_for_each(|blocks| pour(blocks, bytes))?;
        print(b"\r\n")?;
        print(DONE)
    })
}

/// Writes whole blocks, one write each, until `bytes` are out. Cut sequences would swallow the marker.
fn pour(blocks: &[Vec<u8>], bytes: usize) -> io::Result<()> {
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut written = 0;
    for block in blocks.iter().cycle() {
        if written >= bytes {
            break;
        }
        stdout.write_all(block)?;
        written += block.len();
    }
    Ok(())
}

const SPINNER: [&str; 6] = ["✢", "✳", "✶", "✻", "✽", "·"];
const WORDS: [&str; 12] = [
    "reading",
    "src/pure/judge.rs",
    "the",
    "composer",
    "3 failed",
    "let",
    "value = 42;",
    "warning:",
    "unused",
    "Ok(())",
    "—",
    "tests",
];

/// A sentence of about `columns` columns; the same number gives the same sentence.
fn sentence(number: usize, columns: usize) -> String {
    let mut line = String::new();
    let mut seed = number.wrapping_mul(2_654_435_761);
    while line.chars().count() < columns {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        line.push_str(WORDS[(seed >> 33) % WORDS.len()]);
        line.push(' ');
    }
    line.chars().take(columns).collect()
}

/// What a compiler or a test run prints, in the pages in which a buffered stdout writes it.
fn text_pages() -> Vec<Vec<u8>> {
    let lines: Vec<String> = (0..1000).map(text_line).collect();
    lines
        .chunks(100)
        .map(|page| page.concat().into_bytes())
        .collect()
}

fn text_line(number: usize) -> String {
    let (colour, columns) = (31 + number % 6, 30 + number * 7 % 80);
    format!(
        "\x1b[1;{colour}m{number:>6}\x1b[0m {}\n",
        sentence(number, columns)
    )
}

/// What an agent's TUI paints while it works: a few transcript lines, the spinner, the composer.
fn tui_frames() -> Vec<Vec<u8>> {
    let frame = |number: usize| {
        let mut frame = String::from("\x1b[?2026h\x1b[?25l");
        for line in 0..8 {
            let row = 1 + (number * 3 + line) % 30;
            let colour = 16 + (number * 11 + line * 5) % 216;
            let words = sentence(number * 8 + line, 60 + line * 7);
            frame.push_str(&format!(
                "\x1b[{row};1H\x1b[38;5;{colour}m●\x1b[0m {words}\x1b[K"
            ));
        }
        let glyph = SPINNER[number % SPINNER.len()];
        frame.push_str(&format!("\x1b[34;1H\x1b[38;2;215;119;87m{glyph} Working…\x1b[39m \x1b[2m({number}s · esc)\x1b[22m\x1b[K"));
        frame.push_str(&format!(
            "\x1b[36;1H{rule}\x1b[37;1H> \x1b[7m \x1b[27m\x1b[K\x1b[38;1H{rule}",
            rule = "─".repeat(120)
        ));
        frame.push_str("\x1b[37;3H\x1b[?25h\x1b[?2026l");
        frame.into_bytes()
    };
    (0..64).map(frame).collect()
}

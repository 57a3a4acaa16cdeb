//! The embedded demo runtime: `mosaic-fleet demo-tui`.
//!
//! A small TUI that looks and behaves like a coding agent, without a model, an account or a
//! network. It is the default runtime for a first try, and with its options for tests it is the
//! scriptable stand-in for every misbehaviour that a real agent has shown.
//!
//! Only this file, `terminal` and `signals` touch the system: one loop around poll(2). What
//! the demo does is decided in `app`, how it looks in `view`, and what the bytes of the
//! terminal mean in `keys`; those are pure.

mod app;
mod composer;
mod keys;
mod options;
mod signals;
mod terminal;
mod view;
mod width;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use serde::Serialize;

use app::{App, Effect, Event};
use keys::Decoder;
use options::Options;
use signals::Signals;
use terminal::Terminal;
use view::Size;

/// How long an `ESC` must stand alone to be the Escape key.
const ESCAPE_MS: u64 = 50;
/// The exit code of a terminal that went away, as by SIGHUP.
const HANGUP: u8 = 128 + 1;

/// Runs the demo with the arguments after `demo-tui`.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(message) => return fail(2, &message),
    };
    if options.help {
        let written = io::stdout().write_all(options::HELP.as_bytes());
        return ExitCode::from(u8::from(written.is_err()));
    }
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return fail(1, "stdin and stdout must be a terminal");
    }
    match Demo::new(options).and_then(|mut demo| demo.run()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(1, &error.to_string()),
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    // Not `eprintln!`, which panics when stderr is gone.
    let _ = writeln!(io::stderr(), "demo-tui: {message}");
    ExitCode::from(code)
}

/// What lives as long as the process.
struct Demo {
    options: Options,
    started: Instant,
    signals: Signals,
    log: Option<File>,
}

impl Demo {
    fn new(options: Options) -> io::Result<Self> {
        let log = match &options.log {
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let named = |e| io::Error::other(format!("{}: {e}", path.display()));
                Some(file.map_err(named)?)
            }
            None => None,
        };
        Ok(Self {
            options,
            started: Instant::now(),
            signals: Signals::install()?,
            log,
        })
    }

    /// Runs to the end and returns the exit code.
    fn run(&mut self) -> io::Result<u8> {
        let mut draft = String::new();
        let code = match self.delay()? {
            Some(code) => code,
            None => {
                if let Some(text) = &self.options.say {
                    writeln!(io::stdout(), "{text}")?;
                }
                let mut tui = Tui::new(self)?;
                let code = tui.run();
                draft = tui.app.composer().text();
                // The terminal is back before the log says that this is over.
                drop(tui);
                code?
            }
        };
        if !draft.is_empty() {
            self.log(Event::Draft { text: draft });
        }
        self.log(Event::Exit { code });
        Ok(code)
    }

    /// Does nothing for as long as asked. Returns the exit code when that was the end.
    fn delay(&mut self) -> io::Result<Option<u8>> {
        let start = self.options.start_delay_ms;
        let exit = self.options.app.exit_after_ms.unwrap_or(u64::MAX);
        while self.now() < start {
            if self.now() >= exit {
                return Ok(Some(self.options.app.exit_code));
            }
            self.wait(Some(start.min(exit)), None, None)?;
            for signal in self.signals.take() {
                if let Some(code) = self.signal(signal) {
                    return Ok(Some(code));
                }
            }
        }
        Ok(None)
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits for a signal, for the time `until`, and for what is given.
    fn wait(
        &self,
        until: Option<u64>,
        input: Option<BorrowedFd>,
        output: Option<BorrowedFd>,
    ) -> io::Result<PollFlags> {
        // The input comes first, so that its answer is easy to find.
        let input = input.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let listening = input.is_some();
        let signals = self.signals.fds();
        let signals = signals.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        let output = output.map(|fd| PollFd::new(fd, PollFlags::POLLOUT));
        let mut fds: Vec<PollFd> = input.into_iter().chain(signals).chain(output).collect();
        let timeout = match until {
            Some(until) => {
                let left = until.saturating_sub(self.now());
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
            None => PollTimeout::NONE,
        };
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(PollFlags::empty()),
            Err(error) => return Err(error.into()),
        }
        let answer = fds.first().filter(|_| listening).and_then(PollFd::revents);
        Ok(answer.unwrap_or(PollFlags::empty()))
    }

    /// Logs a signal and returns the exit code when it ends the demo.
    fn signal(&mut self, signal: Signal) -> Option<u8> {
        self.log(Event::Signal {
            name: signal.as_str(),
        });
        match signal {
            Signal::SIGHUP if !self.options.ignore_hup => Some(HANGUP),
            Signal::SIGINT => Some(128 + 2),
            Signal::SIGQUIT => Some(128 + 3),
            Signal::SIGTERM if !self.options.ignore_term => Some(128 + 15),
            _ => None,
        }
    }

    /// Appends a line to the log, in one write. A log that cannot be written stops nothing.
    fn log(&mut self, event: Event) {
        #[derive(Serialize)]
        struct Line {
            t: f64,
            #[serde(flatten)]
            event: Event,
        }
        let Some(file) = &mut self.log else { return };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let t = since.unwrap_or_default().as_micros() as f64 / 1e6;
        if let Ok(mut line) = serde_json::to_vec(&Line { t, event }) {
            line.push(b'\n');
            let _ = file.write_all(&line);
        }
    }
}

/// The demo while its TUI is on the terminal.
struct Tui<'a> {
    demo: &'a mut Demo,
    terminal: Terminal,
    size: Size,
    app: App,
    decoder: Decoder,
    /// When an open `ESC` becomes the Escape key.
    escape_at: Option<u64>,
    /// Whether the terminal can still send something.
    listening: bool,
    /// The frame on the screen.
    shown: Option<Vec<u8>>,
}

impl<'a> Tui<'a> {
    fn new(demo: &'a mut Demo) -> io::Result<Self> {
        let terminal = Terminal::enter(demo.options.raw)?;
        Ok(Self {
            size: terminal.size(),
            terminal,
            app: App::new(demo.options.app.clone()),
            demo,
            decoder: Decoder::default(),
            escape_at: None,
            listening: true,
            shown: None,
        })
    }

    /// Runs to the end and returns the exit code.
    fn run(&mut self) -> io::Result<u8> {
        self.draw();
        let Size { rows, cols } = self.size;
        self.demo.log(Event::Ready { rows, cols });
        loop {
            let answer = self.wait()?;
            let signals = self.demo.signals.take();
            if let Some(code) = signals.into_iter().find_map(|signal| self.signal(signal)) {
                return Ok(code);
            }
            self.terminal.flush();
            let code = match answer.is_empty() {
                true => self.end_escape(),
                false => self.read(answer),
            };
            let code = code.or_else(|| self.tick());
            if let Some(code) = code {
                return Ok(code);
            }
            self.draw();
        }
    }

    fn wait(&self) -> io::Result<PollFlags> {
        let idle = self.terminal.is_idle();
        let until = if self.app.flooding() && idle {
            Some(0)
        } else {
            self.app.deadline().into_iter().chain(self.escape_at).min()
        };
        let stdin = io::stdin();
        let input = self.listening.then(|| stdin.as_fd());
        let output = (!idle).then(|| self.terminal.output());
        self.demo.wait(until, input, output)
    }

    /// Brings the screen up to date once the terminal has taken what was written before.
    fn draw(&mut self) {
        if !self.terminal.is_idle() {
            return;
        }
        self.app.flood();
        let frame = view::frame(&self.app, self.size);
        if self.shown.as_ref() != Some(&frame) {
            self.terminal.write(&frame);
            self.shown = Some(frame);
        }
    }

    fn signal(&mut self, signal: Signal) -> Option<u8> {
        let code = self.demo.signal(signal);
        if signal == Signal::SIGCONT {
            // A terminal that is gone shows soon enough.
            let _ = self.terminal.resume();
        }
        if matches!(signal, Signal::SIGCONT | Signal::SIGWINCH) {
            self.size = self.terminal.size();
            self.shown = None;
        }
        code
    }

    /// Moves what moves by itself.
    fn tick(&mut self) -> Option<u8> {
        let effects = self.app.tick(self.demo.now());
        self.perform(effects)
    }

    /// Nothing came in: an `ESC` that stood alone for long enough was a key.
    fn end_escape(&mut self) -> Option<u8> {
        let now = self.demo.now();
        self.escape_at.filter(|at| now >= *at)?;
        self.escape_at = None;
        let input = self.decoder.flush()?;
        let effects = self.app.input(input, now);
        self.perform(effects)
    }

    /// Takes what the terminal has sent.
    fn read(&mut self, answer: PollFlags) -> Option<u8> {
        let mut buffer = [0; 4096];
        let bytes = match nix::unistd::read(io::stdin(), &mut buffer) {
            Err(Errno::EINTR | Errno::EAGAIN) => return None,
            // How Ctrl-D arrives in cooked mode.
            Ok(0) if !answer.contains(PollFlags::POLLHUP) => b"\x04",
            Ok(0) | Err(_) => {
                self.listening = false;
                return (!self.demo.options.ignore_hup).then_some(HANGUP);
            }
            Ok(count) => buffer.get(..count).unwrap_or_default(),
        };
        let now = self.demo.now();
        let inputs = self.decoder.feed(bytes);
        self.escape_at = self.decoder.pending_escape().then_some(now + ESCAPE_MS);
        // One at a time: nothing that comes after a `/quit` is taken.
        inputs.into_iter().find_map(|input| {
            let effects = self.app.input(input, now);
            self.perform(effects)
        })
    }

    /// Does what the app wants. Returns the exit code when that is the end.
    fn perform(&mut self, effects: Vec<Effect>) -> Option<u8> {
        for effect in effects {
            match effect {
                Effect::Log(event) => self.demo.log(event),
                Effect::Exit(code) => return Some(code),
                Effect::Stop => {
                    self.draw();
                    self.terminal.drain();
                    // It cannot fail: SIGSTOP is a signal, and this process may signal itself.
                    let _ = raise(Signal::SIGSTOP);
                }
            }
        }
        None
    }
}

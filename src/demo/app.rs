//! The demo's state machine. Pure: inputs and a clock go in, state and effects come out.
//!
//! The clock is in milliseconds since the program started. Every call that takes it first brings
//! the running turn up to date, so the order of calls is the order of events.

use std::collections::VecDeque;

use serde::Serialize;

use super::composer::Composer;
use super::keys::{Input, Key};

/// The most rows that the transcript keeps.
const TRANSCRIPT_MAX: usize = 500;
/// How long the offer to quit stands.
const QUIT_MS: u64 = 2000;
/// One step of the spinner.
const SPIN_MS: u64 = 100;
/// How much of a message the reply quotes.
const QUOTE_CHARS: usize = 40;
/// Rows of [`Row::Flood`] that make one KB.
const FLOOD_ROWS_PER_KB: usize = 16;
/// The longest turn that a message may ask for, in seconds.
const SLOW_MAX: f64 = 86_400.0;
/// What the approval dialog is about unless told otherwise.
const DIALOG_CMD: &str = "make test";

const GREETING: &str = "demo-tui: no model, no account, no network. Write something, or /help.";
const NEW_SESSION: &str = "A new session.";
const HELP: &[&str] = &[
    "/help        this list",
    "/clear       empty the transcript",
    "/new         the same, and say so: a new session",
    "/ask [CMD]   open the approval dialog",
    "/flood N     print N KB of coloured text",
    "/stop        stop this process (SIGSTOP)",
    "/exit N      leave with exit code N",
    "/quit        leave",
    "!TEXT        what a shell command would look like",
    "slow=SECONDS in a message stretches its turn; ask=yes asks in the middle of it",
];

/// What the command line can change about the app. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a turn lasts.
    pub turn_ms: u64,
    /// Whether a running turn shows its line.
    pub busy_sign: bool,
    /// Whether the spinner moves even when idle.
    pub spin: bool,
    /// How many Enters on a non-empty composer do nothing.
    pub swallow_enter: u32,
    /// Within this time after a paste, Enter does nothing.
    pub paste_window_ms: u64,
    /// Within this time after a paste, Enter inserts a newline.
    pub newline_window_ms: u64,
    /// How many submissions clear the composer and go nowhere.
    pub lose: u32,
    /// Whether `/new` does nothing.
    pub ignore_new: bool,
    /// Whether pastes are ignored.
    pub drop_pastes: bool,
    /// Whether a paste opens the dialog.
    pub dialog_on_paste: bool,
    /// When the dialog opens by itself.
    pub dialog_after_ms: Option<u64>,
    /// When the program ends by itself.
    pub exit_after_ms: Option<u64>,
    /// The exit code of that end.
    pub exit_code: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            turn_ms: 800,
            busy_sign: true,
            spin: false,
            swallow_enter: 0,
            paste_window_ms: 0,
            newline_window_ms: 0,
            lose: 0,
            ignore_new: false,
            drop_pastes: false,
            dialog_on_paste: false,
            dialog_after_ms: None,
            exit_after_ms: None,
            exit_code: 0,
        }
    }
}

/// One line of the log: what truly happened, for tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "ev", rename_all = "lowercase")]
pub enum Event {
    /// The first frame is out.
    Ready {
        /// Rows of the terminal.
        rows: u16,
        /// Columns of the terminal.
        cols: u16,
    },
    /// A message was submitted.
    Taken {
        /// The whole message.
        text: String,
        /// Whether it has to wait for a running turn.
        queued: bool,
    },
    /// The turn of a message started.
    Turn {
        /// The whole message.
        text: String,
    },
    /// The turn ended.
    Done {
        /// Whether Escape ended it.
        interrupted: bool,
    },
    /// A `/command` was submitted and carried out.
    Command {
        /// The whole text.
        text: String,
    },
    /// A `!` text was submitted.
    Shell {
        /// The text after the `!`.
        text: String,
    },
    /// The approval dialog opened.
    Dialog {
        /// What it asks about.
        cmd: String,
    },
    /// The approval dialog was answered.
    Answer {
        /// Whether with yes.
        yes: bool,
    },
    /// What stood in the composer at the exit.
    Draft {
        /// The whole text.
        text: String,
    },
    /// A signal arrived.
    Signal {
        /// Its name, `SIGTERM` for example.
        name: &'static str,
    },
    /// The program ended.
    Exit {
        /// Its exit code.
        code: u8,
    },
}

/// What the loop has to do for the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write a line to the log.
    Log(Event),
    /// End with this code.
    Exit(u8),
    /// Stop this process.
    Stop,
}

/// One logical row of the transcript, not yet wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Between two blocks.
    Blank,
    /// A line of a submitted message.
    User {
        /// The line.
        text: String,
        /// Whether it is the first of its message.
        first: bool,
    },
    /// What the agent says.
    Reply(String),
    /// Plain output.
    Note(String),
    /// What went wrong.
    Error(String),
    /// One coloured row of `/flood`, with its number.
    Flood(u64),
}

/// The open approval dialog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// What it asks about.
    pub cmd: String,
    /// Whether the first choice is selected.
    pub yes: bool,
    opened: u64,
}

#[derive(Debug)]
struct Turn {
    /// When it started, moved forward by every pause.
    begun: u64,
    length: u64,
    /// When to ask, counted like `length`.
    ask_at: Option<u64>,
    words: Vec<String>,
    shown: usize,
    /// The serial number of the reply's row.
    row: Option<u64>,
}

/// A message that starts with `/`.
#[derive(Debug)]
enum Command {
    Help,
    Clear,
    New,
    Ask(String),
    Flood(u32),
    Stop,
    Exit(u8),
}

impl Command {
    fn parse(text: &str) -> Result<Self, String> {
        let (word, rest) = match text.split_once(char::is_whitespace) {
            Some((word, rest)) => (word, rest.trim()),
            None => (text, ""),
        };
        match word {
            "/help" => Ok(Self::Help),
            "/clear" => Ok(Self::Clear),
            "/new" => Ok(Self::New),
            "/ask" if rest.is_empty() => Ok(Self::Ask(DIALOG_CMD.into())),
            "/ask" => Ok(Self::Ask(rest.into())),
            "/flood" => rest
                .parse()
                .map(Self::Flood)
                .map_err(|_| "usage: /flood N, N in KB".into()),
            "/stop" => Ok(Self::Stop),
            "/quit" => Ok(Self::Exit(0)),
            "/exit" if rest.is_empty() => Ok(Self::Exit(0)),
            "/exit" => rest
                .parse()
                .map(Self::Exit)
                .map_err(|_| "usage: /exit N, N from 0 to 255".into()),
            _ => Err(format!("unknown command {word}")),
        }
    }
}

/// The whole state.
#[derive(Debug)]
pub struct App {
    config: Config,
    now: u64,
    composer: Composer,
    dialog: Option<Dialog>,
    turn: Option<Turn>,
    queue: VecDeque<String>,
    rows: VecDeque<Row>,
    /// The serial number of the first row that is kept.
    first_row: u64,
    quit_until: Option<u64>,
    last_paste: Option<u64>,
    flood_left: u32,
    flood_row: u64,
    effects: Vec<Effect>,
}

impl App {
    /// A new app with an empty composer.
    pub fn new(config: Config) -> Self {
        let mut app = Self {
            config,
            now: 0,
            composer: Composer::default(),
            dialog: None,
            turn: None,
            queue: VecDeque::new(),
            rows: VecDeque::new(),
            first_row: 0,
            quit_until: None,
            last_paste: None,
            flood_left: 0,
            flood_row: 0,
            effects: Vec::new(),
        };
        app.block([Row::Note(GREETING.into())]);
        app
    }

    /// Takes one input at the time `now`.
    pub fn input(&mut self, input: Input, now: u64) -> Vec<Effect> {
        self.advance(now);
        match input {
            Input::Key(key) if self.dialog.is_some() => self.dialog_key(key),
            Input::Key(key) => self.key(key),
            Input::Paste(_) if self.dialog.is_some() || self.config.drop_pastes => {}
            Input::Paste(text) => {
                self.quit_until = None;
                self.last_paste = Some(now);
                self.composer.paste(text);
                if self.config.dialog_on_paste {
                    self.open_dialog(DIALOG_CMD.into());
                }
            }
        }
        std::mem::take(&mut self.effects)
    }

    /// Brings everything up to the time `now`.
    pub fn tick(&mut self, now: u64) -> Vec<Effect> {
        self.advance(now);
        std::mem::take(&mut self.effects)
    }

    /// When [`App::tick`] has to be called next. `None` when nothing moves by itself.
    pub fn deadline(&self) -> Option<u64> {
        let next_step = |from: u64| self.now + SPIN_MS - self.now.saturating_sub(from) % SPIN_MS;
        let mut next: Vec<u64> = Vec::new();
        next.extend(self.quit_until);
        next.extend(self.config.exit_after_ms);
        next.extend(self.config.dialog_after_ms);
        if self.config.spin {
            next.push(next_step(0));
        }
        if let (Some(turn), None) = (&self.turn, &self.dialog) {
            next.push(next_step(turn.begun));
            next.push(turn.begun + turn.length);
            next.extend(turn.ask_at.map(|at| turn.begun + at));
        }
        next.into_iter().min()
    }

    /// Whether `/flood` has more to print.
    pub fn flooding(&self) -> bool {
        self.flood_left > 0
    }

    /// Prints one more KB of the flood. To be called before each frame.
    pub fn flood(&mut self) {
        if self.flood_left > 0 {
            self.flood_left -= 1;
            for _ in 0..FLOOD_ROWS_PER_KB {
                self.push(Row::Flood(self.flood_row));
                self.flood_row += 1;
            }
        }
    }

    /// The text under edit.
    pub fn composer(&self) -> &Composer {
        &self.composer
    }

    /// The open dialog.
    pub fn dialog(&self) -> Option<&Dialog> {
        self.dialog.as_ref()
    }

    /// The messages that wait, first come first.
    pub fn queue(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.queue.iter().map(String::as_str)
    }

    /// The transcript, oldest first.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.iter()
    }

    /// Whole seconds of the running turn. `None` when none runs, when it waits for the dialog,
    /// or when the app must not show it.
    pub fn busy_seconds(&self) -> Option<u64> {
        let turn = self.turn.as_ref()?;
        let shown = self.config.busy_sign && self.dialog.is_none();
        shown.then(|| self.now.saturating_sub(turn.begun) / 1000)
    }

    /// The spinner's step, while there is a spinner.
    pub fn spinner(&self) -> Option<u64> {
        let busy = self.turn.as_ref().filter(|_| self.busy_seconds().is_some());
        match busy {
            Some(turn) => Some(self.now.saturating_sub(turn.begun) / SPIN_MS),
            None => self.config.spin.then_some(self.now / SPIN_MS),
        }
    }

    /// Whether the footer offers to quit.
    pub fn offers_quit(&self) -> bool {
        self.quit_until.is_some()
    }

    fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        if self.config.exit_after_ms.is_some_and(|at| self.now >= at) {
            self.config.exit_after_ms = None;
            self.effects.push(Effect::Exit(self.config.exit_code));
        }
        if self.config.dialog_after_ms.is_some_and(|at| self.now >= at) {
            self.config.dialog_after_ms = None;
            self.open_dialog(DIALOG_CMD.into());
        }
        if self.quit_until.is_some_and(|until| self.now >= until) {
            self.quit_until = None;
        }
        self.run_turn();
    }

    /// Streams the reply, asks and ends the turn, each when its time has come.
    fn run_turn(&mut self) {
        let now = self.now;
        if self.dialog.is_some() {
            return;
        }
        let Some(turn) = &mut self.turn else { return };
        let elapsed = now.saturating_sub(turn.begun);
        if turn.ask_at.is_some_and(|at| elapsed >= at) {
            turn.ask_at = None;
            self.open_dialog(DIALOG_CMD.into());
            return;
        }
        let over = elapsed >= turn.length;
        let total = turn.words.len();
        let share = elapsed
            .saturating_mul(total as u64)
            .checked_div(turn.length);
        let due = share
            .and_then(|due| usize::try_from(due).ok())
            .map_or(total, |due| due.min(total));
        if due > turn.shown {
            turn.shown = due;
            let reply = turn.words.get(..due).unwrap_or_default().join(" ");
            self.show_reply(reply);
        }
        if over {
            self.end_turn(false);
        }
    }

    /// Shows the reply so far: in its row when that is still there.
    fn show_reply(&mut self, reply: String) {
        let row = self.turn.as_ref().and_then(|turn| turn.row);
        let at = row.and_then(|row| row.checked_sub(self.first_row));
        let row = at.and_then(|at| self.rows.get_mut(usize::try_from(at).ok()?));
        if let Some(row) = row {
            *row = Row::Reply(reply);
            return;
        }
        self.block([Row::Reply(reply)]);
        let last = self.first_row + self.rows.len() as u64 - 1;
        if let Some(turn) = &mut self.turn {
            turn.row = Some(last);
        }
    }

    fn start_turn(&mut self, text: String) {
        let lines = text.split('\n').enumerate();
        let rows: Vec<Row> = lines
            .map(|(at, line)| Row::User {
                text: line.into(),
                first: at == 0,
            })
            .collect();
        self.block(rows);
        self.effects
            .push(Effect::Log(Event::Turn { text: text.clone() }));
        let length = slow_ms(&text).unwrap_or(self.config.turn_ms);
        self.turn = Some(Turn {
            begun: self.now,
            length,
            ask_at: text.contains("ask=yes").then_some(length / 2),
            words: reply(&text).split(' ').map(String::from).collect(),
            shown: 0,
            row: None,
        });
    }

    fn end_turn(&mut self, interrupted: bool) {
        if self.turn.take().is_none() {
            return;
        }
        self.effects.push(Effect::Log(Event::Done { interrupted }));
        if let Some(next) = self.queue.pop_front() {
            self.start_turn(next);
        }
    }

    fn open_dialog(&mut self, cmd: String) {
        if self.dialog.is_some() {
            return;
        }
        self.effects
            .push(Effect::Log(Event::Dialog { cmd: cmd.clone() }));
        self.quit_until = None;
        self.dialog = Some(Dialog {
            cmd,
            yes: true,
            opened: self.now,
        });
    }

    fn dialog_key(&mut self, key: Key) {
        let Some(dialog) = &mut self.dialog else {
            return;
        };
        match key {
            Key::Up | Key::Char('1') => dialog.yes = true,
            Key::Down | Key::Char('2') => dialog.yes = false,
            Key::Enter => {
                let yes = dialog.yes;
                self.answer(yes);
            }
            Key::Escape | Key::CtrlC => self.answer(false),
            _ => {}
        }
    }

    fn answer(&mut self, yes: bool) {
        let Some(dialog) = self.dialog.take() else {
            return;
        };
        self.effects.push(Effect::Log(Event::Answer { yes }));
        let word = if yes { "allowed" } else { "declined" };
        self.block([Row::Reply(format!("{word}: {}", dialog.cmd))]);
        if let Some(turn) = &mut self.turn {
            turn.begun += self.now.saturating_sub(dialog.opened);
        }
    }

    fn key(&mut self, key: Key) {
        if key == Key::CtrlC {
            return self.ctrl_c();
        }
        self.quit_until = None;
        match key {
            Key::Char(c) => self.composer.insert(c),
            Key::Newline => self.composer.insert('\n'),
            Key::Enter => self.enter(),
            Key::Backspace => self.composer.backspace(),
            Key::Delete => self.composer.delete(),
            Key::Left => self.composer.left(),
            Key::Right => self.composer.right(),
            Key::Home => self.composer.home(),
            Key::End => self.composer.end(),
            Key::KillToStart => self.composer.kill_to_start(),
            Key::CtrlD if self.composer.is_empty() => self.effects.push(Effect::Exit(0)),
            Key::Escape if self.turn.is_some() => {
                self.block([Row::Reply("interrupted".into())]);
                self.end_turn(true);
            }
            Key::Escape => self.flood_left = 0,
            Key::Up | Key::Down | Key::CtrlC | Key::CtrlD => {}
        }
    }

    fn ctrl_c(&mut self) {
        if !self.composer.is_empty() {
            self.composer.clear();
        } else if self.quit_until.is_some() {
            self.effects.push(Effect::Exit(0));
        } else {
            self.quit_until = Some(self.now + QUIT_MS);
        }
    }

    fn enter(&mut self) {
        let text = self.composer.text();
        if text.trim().is_empty() {
            return;
        }
        let since_paste = self.last_paste.map(|at| self.now.saturating_sub(at));
        let within = |window: u64| since_paste.is_some_and(|since| since < window);
        if within(self.config.paste_window_ms) {
            return;
        }
        if within(self.config.newline_window_ms) {
            return self.composer.insert('\n');
        }
        if self.config.swallow_enter > 0 {
            self.config.swallow_enter -= 1;
            return;
        }
        if self.config.lose > 0 {
            self.config.lose -= 1;
            return self.composer.clear();
        }
        if text.starts_with('/') {
            match Command::parse(&text) {
                Ok(command) => {
                    self.composer.clear();
                    self.effects.push(Effect::Log(Event::Command { text }));
                    self.run_command(command);
                }
                // The text stays, to be put right.
                Err(message) => self.block([Row::Error(message)]),
            }
            return;
        }
        self.composer.clear();
        match text.strip_prefix('!') {
            Some(shell) => {
                self.block([
                    Row::Note(format!("$ {shell}")),
                    Row::Note("(the demo runs no commands)".into()),
                ]);
                let text = shell.to_owned();
                self.effects.push(Effect::Log(Event::Shell { text }));
            }
            None => self.submit(text),
        }
    }

    fn submit(&mut self, text: String) {
        let queued = self.turn.is_some();
        let taken = Event::Taken {
            text: text.clone(),
            queued,
        };
        self.effects.push(Effect::Log(taken));
        if queued {
            self.queue.push_back(text);
        } else {
            self.start_turn(text);
        }
    }

    fn run_command(&mut self, command: Command) {
        match command {
            Command::Help => self.block(HELP.iter().map(|line| Row::Note((*line).into()))),
            Command::Clear => self.clear(),
            Command::New if self.config.ignore_new => {}
            Command::New => {
                self.clear();
                self.block([Row::Note(NEW_SESSION.into())]);
            }
            Command::Ask(cmd) => self.open_dialog(cmd),
            Command::Flood(kilobytes) => self.flood_left = kilobytes,
            Command::Stop => self.effects.push(Effect::Stop),
            Command::Exit(code) => self.effects.push(Effect::Exit(code)),
        }
    }

    fn clear(&mut self) {
        self.first_row += self.rows.len() as u64;
        self.rows.clear();
    }

    /// Appends a block, apart from what stands above it.
    fn block(&mut self, rows: impl IntoIterator<Item = Row>) {
        if !self.rows.is_empty() {
            self.push(Row::Blank);
        }
        for row in rows {
            self.push(row);
        }
    }

    fn push(&mut self, row: Row) {
        self.rows.push_back(row);
        if self.rows.len() > TRANSCRIPT_MAX {
            self.rows.pop_front();
            self.first_row += 1;
        }
    }
}

fn reply(text: &str) -> String {
    let one_line = text.replace('\n', " ");
    let quote: String = one_line.chars().take(QUOTE_CHARS).collect();
    format!("I heard {} characters: \"{quote}\"", text.chars().count())
}

/// The length that a message asks for with `slow=SECONDS`.
fn slow_ms(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("slow=")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
    let number = rest.get(..end.unwrap_or(rest.len()))?;
    let seconds: f64 = number.trim_end_matches('.').parse().ok()?;
    Some((seconds.min(SLOW_MAX) * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(change: impl FnOnce(&mut Config)) -> App {
        let mut config = Config::default();
        change(&mut config);
        App::new(config)
    }

    fn send(app: &mut App, text: &str, now: u64) -> Vec<Event> {
        let keys = text.chars().map(|c| match c {
            '\r' => Key::Enter,
            '\x03' => Key::CtrlC,
            '\x1b' => Key::Escape,
            c => Key::Char(c),
        });
        let effects = keys.flat_map(|key| app.input(Input::Key(key), now));
        events(effects.collect())
    }

    fn events(effects: Vec<Effect>) -> Vec<Event> {
        let event = |effect| match effect {
            Effect::Log(event) => event,
            Effect::Exit(code) => Event::Exit { code },
            Effect::Stop => Event::Signal { name: "SIGSTOP" },
        };
        effects.into_iter().map(event).collect()
    }

    fn taken(text: &str, queued: bool) -> Event {
        let text = text.into();
        Event::Taken { text, queued }
    }

    fn turn(text: &str) -> Event {
        Event::Turn { text: text.into() }
    }

    const DONE: Event = Event::Done { interrupted: false };

    #[test]
    fn a_message_in_a_turn_waits_for_its_end() {
        let mut app = app(|_| {});
        assert_eq!(
            send(&mut app, "one\r", 0),
            [taken("one", false), turn("one")]
        );
        assert_eq!(send(&mut app, "two\r", 10), [taken("two", true)]);
        assert_eq!(app.queue().collect::<Vec<_>>(), ["two"]);
        assert_eq!(events(app.tick(799)), []);
        assert_eq!(events(app.tick(800)), [DONE, turn("two")]);
        assert_eq!(events(app.tick(1600)), [DONE]);
        assert_eq!(app.deadline(), None);
        let last = app.rows().next_back().unwrap();
        assert_eq!(*last, Row::Reply("I heard 3 characters: \"two\"".into()));
    }

    #[test]
    fn a_dialog_in_the_middle_pauses_the_turn() {
        let mut app = app(|_| {});
        send(&mut app, "ask=yes slow=2\r", 0);
        assert!(matches!(events(app.tick(1000))[..], [Event::Dialog { .. }]));
        assert_eq!(app.busy_seconds(), None);
        assert_eq!(app.deadline(), None);
        assert_eq!(
            send(&mut app, "lost2\r", 9000),
            [Event::Answer { yes: false }]
        );
        assert!(app.composer().is_empty());
        assert_eq!(events(app.tick(9999)), []);
        assert_eq!(events(app.tick(10_000)), [DONE]);
    }

    #[test]
    fn ctrl_c_clears_then_offers_then_quits() {
        let mut app = app(|_| {});
        assert_eq!(send(&mut app, "text\x03", 0), []);
        assert!(app.composer().is_empty() && !app.offers_quit());
        send(&mut app, "\x03", 0);
        assert!(app.offers_quit());
        app.tick(2000);
        assert!(!app.offers_quit());
        assert_eq!(send(&mut app, "\x03\x03", 2001), [Event::Exit { code: 0 }]);
    }

    #[test]
    fn escape_ends_the_turn_and_the_next_one_starts() {
        let mut app = app(|_| {});
        send(&mut app, "one\rtwo\r", 0);
        let interrupted = Event::Done { interrupted: true };
        assert_eq!(send(&mut app, "\x1b", 5), [interrupted, turn("two")]);
        assert!(
            app.rows()
                .any(|row| *row == Row::Reply("interrupted".into()))
        );
    }

    #[test]
    fn an_unknown_command_stays_in_the_composer() {
        let mut app = app(|_| {});
        assert_eq!(send(&mut app, "/nope x\r", 0), []);
        assert_eq!(app.composer().text(), "/nope x");
        let last = app.rows().next_back().unwrap();
        assert_eq!(*last, Row::Error("unknown command /nope".into()));
    }

    #[test]
    fn a_new_session_shows_nothing_of_the_one_before() {
        let command = |text: &str| Event::Command { text: text.into() };
        let mut app = app(|_| {});
        send(&mut app, "one\r", 0);
        app.tick(900);
        assert_eq!(send(&mut app, "/new\r", 900), [command("/new")]);
        let rows: Vec<&Row> = app.rows().collect();
        assert_eq!(rows, [&Row::Note(NEW_SESSION.into())]);
        app.config.ignore_new = true;
        assert_eq!(send(&mut app, "/help\r/new\r", 900).len(), 2);
        assert!(app.rows().count() > HELP.len());
    }

    #[test]
    fn enter_after_a_paste_misbehaves_only_within_its_window() {
        let mut swallows = app(|config| config.paste_window_ms = 100);
        swallows.input(Input::Paste("p".into()), 0);
        assert_eq!(send(&mut swallows, "\r", 99), []);
        assert_eq!(
            send(&mut swallows, "\r", 100),
            [taken("p", false), turn("p")]
        );
        let mut breaks = app(|config| config.newline_window_ms = 100);
        breaks.input(Input::Paste("p".into()), 0);
        assert_eq!(send(&mut breaks, "\r", 99), []);
        assert_eq!(breaks.composer().text(), "p\n");
    }

    #[test]
    fn a_lost_message_leaves_no_trace() {
        let mut app = app(|config| (config.lose, config.swallow_enter) = (1, 1));
        let rows = app.rows().count();
        assert_eq!(send(&mut app, "one\r", 0), []);
        assert_eq!(app.composer().text(), "one");
        assert_eq!(send(&mut app, "\r", 0), []);
        assert!(app.composer().is_empty());
        assert_eq!(app.rows().count(), rows);
        assert_eq!(send(&mut app, "two\r", 0).len(), 2);
    }

    #[test]
    fn the_transcript_is_bounded_and_a_turn_survives_it() {
        let mut app = app(|_| {});
        send(&mut app, "one\r", 0);
        app.tick(400);
        send(&mut app, "/flood 100\r", 400);
        while app.flooding() {
            app.flood();
        }
        assert_eq!(app.rows().count(), TRANSCRIPT_MAX);
        assert_eq!(events(app.tick(800)), [DONE]);
    }

    #[test]
    fn a_message_sets_the_length_of_its_turn() {
        assert_eq!(slow_ms("x slow=1.5, y"), Some(1500));
        assert_eq!(slow_ms("slow=2."), Some(2000));
        assert_eq!(slow_ms("slow=no"), None);
    }
}

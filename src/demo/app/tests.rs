use super::command::HELP;
use super::transcript::TRANSCRIPT_MAX;
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

use super::looks::EMBEDDED;
use super::*;
use crate::pure::profile::Profiles;

/// A reset of the demo (`/new`, no menu), its looks, and a clock that goes on by 100 ms a look.
struct Play {
    reset: Reset,
    now: Instant,
    looks: u64,
    seen: Seen,
}

/// Changes what is seen.
type Change = fn(&mut Seen);

/// An agent that can be reset.
fn ready() -> Seen {
    Seen {
        steady: true,
        hash: "a".into(),
        state: State::Ready,
        why: "composer in front".into(),
        composer: Some(String::new()),
        free: true,
        offered: true,
        fresh: None,
        sure: false,
        session: Vec::new(),
        held: 0,
        attached: None,
    }
}

fn profile(name: &str) -> crate::pure::profile::Profile {
    let profiles = Profiles::with(&[]);
    profiles.named(name).expect("an embedded profile").clone()
}

fn rule(name: &str) -> ResetRule {
    let found = super::rule(name, &[]).expect("a sound file");
    found.expect("a reset")
}

impl Play {
    fn new(seen: Seen, wait: Duration) -> Play {
        let now = Instant::now();
        Play {
            reset: Reset::new(&rule("demo"), &profile("demo").send, wait, now),
            now,
            looks: 0,
            seen,
        }
    }

    /// One that has typed the command and Enter.
    fn entered(seen: Seen) -> Play {
        let mut play = Play::new(seen, Duration::ZERO);
        assert_eq!(play.look(), typing("/new", "a"));
        play.typed();
        play.seen.composer = Some("/new".into());
        play.seen.free = false;
        play.seen.hash = "b".into();
        assert_eq!(play.look(), Next::Type(vec!["Enter".into()], "b".into()));
        play.typed();
        play.seen.composer = Some(String::new());
        play.seen.free = true;
        play
    }

    fn look(&mut self) -> Next {
        self.looks += 1;
        self.now += Duration::from_millis(100);
        self.reset.next(&self.seen, self.now)
    }

    fn typed(&mut self) {
        self.reset.typed(self.now);
    }

    /// Looks on until something is to be done.
    fn until_done(&mut self) -> Next {
        for _ in 0..1_000 {
            let next = self.look();
            if !matches!(next, Next::Look | Next::Wait) {
                return next;
            }
        }
        panic!("nothing is ever done: {:?}", self.reset);
    }

    #[track_caller]
    fn ends(&mut self, verdict: Verdict, why: &str) {
        assert_eq!(self.until_done(), Next::Over);
        let (said, reason) = self.reset.verdict();
        assert_eq!(said, verdict, "{reason}");
        assert!(reason.contains(why), "{reason}");
    }
}

fn typing(text: &str, hash: &str) -> Next {
    Next::Type(text.chars().map(String::from).collect(), hash.into())
}

#[test]
fn nothing_is_typed_while_something_stands_in_the_way() {
    let ways: [(&str, Change); 8] = [
        ("a turn is running", |seen| seen.state = State::Busy),
        ("blocked", |seen| seen.state = State::Blocked),
        ("wedged", |seen| seen.state = State::Wedged),
        ("draft", |seen| seen.composer = Some("mine".into())),
        ("no composer", |seen| seen.composer = None),
        ("cursor", |seen| seen.free = false),
        ("held", |seen| seen.held = 1),
        ("4711", |seen| seen.attached = Some(4711)),
    ];
    for (why, change) in ways {
        let mut seen = ready();
        change(&mut seen);
        let mut play = Play::new(seen, Duration::ZERO);
        play.ends(Verdict::Refused, why);
        assert_eq!(play.looks, 1, "{why}");
    }
}

#[test]
fn the_end_of_a_turn_is_waited_for_as_long_as_the_caller_says() {
    let mut seen = ready();
    seen.state = State::Busy;
    let mut play = Play::new(seen.clone(), Duration::from_secs(2));
    for _ in 0..19 {
        assert_eq!(play.look(), Next::Wait);
    }
    play.seen.state = State::Ready;
    assert_eq!(play.look(), typing("/new", "a"));
    let mut play = Play::new(seen, Duration::from_secs(2));
    play.ends(Verdict::Refused, "a turn is running");
    assert_eq!(play.looks, 20);
}

#[test]
fn a_screen_that_never_rests_is_not_typed_into() {
    let mut seen = ready();
    seen.steady = false;
    Play::new(seen, Duration::ZERO).ends(Verdict::Refused, "does not stop changing");
    let mut play = Play::new(ready(), Duration::ZERO);
    while play.look() != Next::Over {
        play.reset.changed(play.now);
        assert!(play.looks < 100);
    }
    assert_eq!(play.reset.verdict().0, Verdict::Refused);
}

#[test]
fn enter_is_pressed_only_behind_the_command_alone_and_offered() {
    for change in [
        (|seen| seen.composer = Some("mine/new".into())) as Change,
        |seen| seen.composer = Some("/new\nmine".into()),
        |seen| seen.composer = Some(String::new()),
        |seen| seen.composer = None,
    ] {
        let mut play = Play::new(ready(), Duration::ZERO);
        play.look();
        play.typed();
        change(&mut play.seen);
        play.ends(Verdict::Unproven, "");
        assert!(!play.reset.submitted());
    }
}

#[test]
fn what_the_menu_does_not_offer_is_taken_away_again() {
    let mut play = Play::new(ready(), Duration::ZERO);
    play.look();
    play.typed();
    play.seen.composer = Some("/new".into());
    play.seen.offered = false;
    let backspaces = Next::Type(vec!["Backspace".into(); 4], "a".into());
    assert_eq!(play.until_done(), backspaces);
    // Refused once: the screen has changed meanwhile.
    play.reset.changed(play.now);
    assert_eq!(play.look(), backspaces);
    play.typed();
    play.seen.composer = Some(String::new());
    play.ends(Verdict::Refused, "taken away again");
    assert!(play.reset.removed && !play.reset.submitted());
}

#[test]
fn what_a_person_adds_to_it_is_left_alone() {
    let mut play = Play::new(ready(), Duration::ZERO);
    play.look();
    play.typed();
    play.seen.composer = Some("/new".into());
    play.seen.offered = false;
    assert_eq!(play.look(), Next::Look);
    play.seen.composer = Some("/news of mine".into());
    play.ends(Verdict::Unproven, "something else stands in the composer");
    assert!(!play.reset.removed);
}

#[test]
fn an_enter_that_was_swallowed_is_pressed_once_more_and_then_the_command_goes() {
    let mut play = Play::entered(ready());
    play.seen.composer = Some("/new".into());
    play.seen.free = false;
    assert_eq!(
        play.until_done(),
        Next::Type(vec!["Enter".into()], "b".into())
    );
    play.typed();
    let backspaces = Next::Type(vec!["Backspace".into(); 4], "b".into());
    assert_eq!(play.until_done(), backspaces);
    play.typed();
    play.seen.composer = Some(String::new());
    play.ends(Verdict::Unproven, "was not taken");
    assert!(play.reset.removed && play.reset.submitted());
}

#[test]
fn backspaces_are_pressed_once_whatever_comes_of_them() {
    let mut play = Play::new(ready(), Duration::ZERO);
    play.look();
    play.typed();
    play.seen.composer = Some("/new".into());
    play.seen.offered = false;
    assert!(matches!(play.until_done(), Next::Type(..)));
    play.typed();
    play.ends(Verdict::Unproven, "may still stand in the composer");
    assert!(!play.reset.removed);
}

#[test]
fn enter_waits_as_long_as_the_runtime_would_put_it_off() {
    let mut play = Play::new(ready(), Duration::ZERO);
    let send = SendRule {
        enter_pause_ms: 250,
        ..SendRule::default()
    };
    play.reset = Reset::new(&rule("demo"), &send, Duration::ZERO, play.now);
    play.look();
    play.typed();
    play.seen.composer = Some("/new".into());
    for _ in 0..3 {
        assert_eq!(play.look(), Next::Look);
    }
    assert_eq!(play.look(), Next::Type(vec!["Enter".into()], "a".into()));
}

#[test]
fn a_fresh_screen_proves_a_reset_only_if_it_was_not_fresh_before() {
    let mut play = Play::entered(ready());
    play.seen.fresh = Some("home".into());
    play.ends(Verdict::Proven, "");
    assert!(play.reset.evidence[0].contains("home"));

    let mut fresh = ready();
    fresh.fresh = Some("home".into());
    Play::entered(fresh.clone()).ends(Verdict::Unproven, "looked fresh before");
    // Only the runtime itself can have drawn it.
    fresh.sure = true;
    Play::entered(fresh).ends(Verdict::Proven, "");
}

#[test]
fn the_runtimes_own_record_decides_where_there_is_one() {
    let mut seen = ready();
    seen.session = vec!["one".into()];
    let mut play = Play::entered(seen.clone());
    play.seen.fresh = Some("home".into());
    play.ends(Verdict::Unproven, "same session");
    let mut play = Play::entered(seen.clone());
    play.seen.session = vec!["one".into(), "two".into()];
    play.ends(Verdict::Proven, "");
    assert!(play.reset.evidence[0].contains("two"));
    // It cannot be read any more.
    let mut play = Play::entered(seen);
    play.seen.session.clear();
    play.ends(Verdict::Unproven, "");
}

#[test]
fn a_new_session_is_proven_only_once_it_takes_messages() {
    let mut play = Play::entered(ready());
    play.seen.fresh = Some("home".into());
    for change in [
        (|seen| seen.state = State::Busy) as Change,
        |seen| seen.free = false,
        |seen| seen.steady = false,
    ] {
        let before = play.seen.clone();
        change(&mut play.seen);
        assert_eq!(play.look(), Next::Look);
        play.seen = before;
    }
    play.ends(Verdict::Proven, "");
}

#[test]
fn a_question_that_the_command_asks_is_told_and_not_answered() {
    let mut play = Play::entered(ready());
    play.seen.state = State::Blocked;
    play.seen.why = "dialog: menu".into();
    play.seen.composer = None;
    play.seen.free = false;
    play.ends(Verdict::Unproven, "dialog: menu");
}

#[test]
fn the_menu_of_opencode_is_no_part_of_what_was_typed() {
    let composer = profile("opencode").composer;
    let with_menu = "diff         Open diff viewer         ┃\n\n/new";
    assert_eq!(typed_text(&composer, with_menu), "/new");
    assert_eq!(typed_text(&composer, "mine\n/new"), "mine\n/new");
    assert_eq!(
        typed_text(&profile("pi").composer, "a ┃\n/new"),
        "a ┃\n/new"
    );
}

/// A screen of rows, the composer in those between `top` and `bottom`.
fn shown(lines: &[&str], top: usize, bottom: usize) -> Shown {
    Shown {
        lines: lines.iter().map(|l| (*l).to_string()).collect(),
        top,
        bottom,
    }
}

#[test]
fn what_pi_and_codex_show_of_a_session() {
    let pi = |lines: &[&str], row| rule("pi").fresh(&shown(lines, row, row)).is_some();
    let sign = " ✓ New session started";
    assert!(pi(&[sign, "", "", "───", "", "───", "~", "0.0%/128k"], 4));
    let after = [
        sign,
        "",
        " hi",
        "",
        " You said: hi",
        "",
        "───",
        "",
        "───",
        "~",
        "↑1 ↓9",
    ];
    assert!(!pi(&after, 7));
    // Its tokens tell it from a message that looks like the sign.
    assert!(!pi(&[sign, "", "", "───", "", "───", "~", "↑1 0.0%"], 4));

    let codex = |lines: &[&str], row| rule("codex").fresh(&shown(lines, row, row)).is_some();
    let banner = "  >_ OpenAI Codex (v0.169.0)";
    assert!(codex(&[banner, "     ~/project", "", "› Ask Codex"], 3));
    assert!(!codex(
        &[banner, "     ~", "› hi", "• Hello", "› Ask Codex"],
        4
    ));
    assert!(!codex(&["of a long answer", "", "› Ask Codex"], 2));
}

#[test]
fn a_menu_offers_the_command_if_a_row_of_it_begins_with_it() {
    let offers = |lines: &[&str], top, bottom| rule("pi").is_offered(&shown(lines, top, bottom));
    assert!(offers(&["/new", "→ new         Start a new session"], 0, 0));
    assert!(offers(&["/new", "→ new"], 0, 0));
    assert!(!offers(&["/new", "→ newest    Of a user's own"], 0, 0));
    assert!(!offers(&["/new"], 0, 0));
    assert!(!offers(&["→ new"], 0, 0), "in the composer");
}

#[test]
fn every_embedded_rule_is_sound_and_of_an_embedded_profile() {
    for (name, ..) in EMBEDDED {
        let rule = rule(name);
        assert!(!rule.fresh.is_empty(), "{name}");
        assert_eq!(profile(name).name, name);
    }
    assert!(super::rule("generic", &[]).expect("no mistake").is_none());
}

#[test]
fn a_users_profile_brings_its_own_reset_or_none() {
    let own = |reset: &str| {
        let text = include_str!("../profiles/pi.toml").to_owned() + reset;
        super::rule("pi", &[("my/pi.toml".into(), text)])
    };
    assert!(own("").expect("no mistake").is_none());
    let found = own("[reset]\ncommand = \"/forget\"\n").expect("no mistake");
    assert_eq!(found.map(|rule| rule.command), Some("/forget".into()));
}

#[test]
fn a_mistake_in_a_reset_is_told_with_file_line_and_key() {
    let told = |reset: &str| in_file("my/pi.toml", reset).err().unwrap_or_default();
    let error = told("name = \"pi\"\n[reset]\ncommand = \"\"\n");
    assert!(
        error.starts_with("my/pi.toml:3: reset.command: "),
        "{error}"
    );
    let error = told("[reset]\ncommand = \"/new\"\nofered = \"x\"\n");
    assert_eq!(error, "my/pi.toml:3: reset.ofered: there is no such key");
    let error =
        told("[reset]\ncommand = \"/new\"\n[[reset.fresh]]\nname = \"x\"\nin = \"there\"\n");
    assert!(
        error.starts_with("my/pi.toml:5: reset.fresh.in: "),
        "{error}"
    );
}

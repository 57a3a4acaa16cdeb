use super::*;
use crate::pure::profile::Profiles;
use crate::units::TermSize;

/// A line editor whose screen and clock are set at will.
struct Scene {
    screen: Screen,
    generic: Generic,
    now: Instant,
}

impl Scene {
    /// At rest with this on the screen.
    fn resting(bytes: &str) -> Scene {
        let mut screen = Screen::new(TermSize { cols: 40, rows: 12 });
        screen.feed(b"\x1b[?2004h");
        screen.feed(bytes.as_bytes());
        let now = Instant::now();
        let generic = Generic::new(&screen, Some(7), now);
        let mut scene = Scene {
            screen,
            generic,
            now,
        };
        scene.after(2_000);
        scene
    }

    fn after(&mut self, ms: u64) -> View {
        self.now += Duration::from_millis(ms);
        self.generic.look(&self.screen, self.now)
    }

    fn prints(&mut self, bytes: &str) -> View {
        self.screen.feed(bytes.as_bytes());
        self.generic
            .printed(bytes.as_bytes(), &self.screen, self.now);
        self.after(1)
    }

    /// Our paste shows; then Enter.
    fn enters(&mut self, text: &str) {
        self.generic.types(b"\x1b[200~", &self.screen);
        let view = self.prints(text);
        assert_eq!(text_of(&view).as_deref(), Some(text));
        self.generic.types(b"\r", &self.screen);
    }
}

fn text_of(view: &View) -> Option<String> {
    view.composer.as_ref().map(|c| c.text.clone())
}

#[test]
fn a_cursor_at_rest_behind_a_prompt_is_a_composer() {
    let mut scene = Scene::resting("hello\r\ndemo$ ");
    assert!(scene.after(0).composer_is_free());
    assert_eq!(text_of(&scene.prints("mine")).as_deref(), Some("mine"));
}

#[test]
fn a_key_is_a_draft_until_enter_whatever_the_screen_shows() {
    let mut scene = Scene::resting("demo$ ");
    scene.generic.keys(false, true, scene.now);
    assert!(!scene.after(5_000).composer_is_free());
    scene.generic.keys(true, false, scene.now);
    assert!(scene.after(5_000).composer_is_free());
}

#[test]
fn another_place_is_no_composer_once_a_message_was_accepted() {
    let mut scene = Scene::resting("Trust this folder? ");
    scene.prints("\r\n\x1b[Kready> ");
    assert!(
        scene.after(2_000).composer_is_free(),
        "the start may ask things"
    );
    scene.generic.ended(true, true);
    scene.prints("\r\nAllow this? ");
    assert_eq!(scene.after(5_000).composer, None);
    assert!(scene.prints("\r\nready> ").composer_is_free());
}

#[test]
fn a_counter_in_the_prompt_is_the_same_prompt() {
    let mut scene = Scene::resting("In [9]: ");
    scene.generic.ended(true, true);
    assert!(scene.prints("\r\nIn [10]: ").composer_is_free());
    assert_eq!(text_of(&scene.prints("12")).as_deref(), Some("12"));
}

#[test]
fn a_list_that_filters_itself_by_our_paste_is_no_composer() {
    let list = "search: \x1b7\r\n one\r\n two\r\n three\x1b8";
    let mut scene = Scene::resting(list);
    scene.generic.types(b"\x1b[200~", &scene.screen);
    assert_eq!(scene.prints("two\x1b[J\x1b7\r\n two\x1b8").composer, None);
}

#[test]
fn a_continuation_prompt_is_neither_our_text_nor_an_empty_composer() {
    let mut scene = Scene::resting("demo$ ");
    scene.enters("echo 'not done");
    assert_eq!(scene.prints("\r\n\x1b[?2004l\x1b[?2004h> ").composer, None);
    assert_eq!(scene.after(5_000).composer, None);
}

#[test]
fn an_editor_that_lets_go_is_busy_and_has_taken_its_line_when_it_stays_away() {
    let mut scene = Scene::resting("demo$ ");
    scene.enters("sleep 5");
    let view = scene.prints("\r\n\x1b[?2004l");
    assert_eq!(
        (view.composer.is_some(), view.busy.is_some()),
        (false, true)
    );
    assert_eq!(scene.after(600).composer, None, "a dialog may do the same");
    scene.generic.reader(Some(7), false);
    let view = scene.after(1);
    assert!(view.composer.is_some_and(|c| c.is_empty() && !c.has_cursor));
}

#[test]
fn a_few_changes_are_no_life_and_an_animation_is() {
    let mut scene = Scene::resting("demo$ ");
    scene.enters("hello");
    for error in ["unknown", "unknown command", "unknown command: hello"] {
        scene.now += Duration::from_millis(100);
        let view = scene.prints(&format!("\x1b7\x1b[5;1H{error}\x1b8"));
        assert_eq!(view.busy, None);
    }
    scene.after(1_000);
    let mut view = View::default();
    for glyph in ["|", "/", "-", "\\", "|"] {
        scene.now += Duration::from_millis(100);
        view = scene.prints(&format!("\x1b7\x1b[6;1H{glyph}\x1b8"));
    }
    assert_eq!(view.busy.as_deref(), Some("the screen keeps changing"));
}

#[test]
fn a_clock_is_no_life() {
    let mut scene = Scene::resting("demo$ ");
    scene.enters("hello");
    for second in 0..20 {
        scene.now += Duration::from_millis(500);
        let view = scene.prints(&format!("\x1b7\x1b[6;1H{second}\x1b8"));
        assert_eq!(view.busy, None);
    }
}

#[test]
fn a_program_that_a_shell_has_started_is_not_typed_into() {
    let mut scene = Scene::resting("demo$ ");
    scene.generic.reader(Some(8), true);
    let view = scene.after(1);
    assert_eq!(
        (view.composer.is_some(), view.busy.is_some()),
        (false, true)
    );
}

#[test]
fn only_a_shell_that_was_started_as_one_may_be_typed_into() {
    let profiles = Profiles::with(&[]);
    let profile = profiles.named(NAME).expect("the generic profile");
    let process = |exe: &str, argv: &[&str]| ProcessFacts {
        exe: exe.into(),
        argv: argv.iter().map(|a| (*a).to_string()).collect(),
        ..ProcessFacts::default()
    };
    let shell = process("/bin/bash", &["bash", "--norc", "-i"]);
    let wrapper = process("/bin/bash", &["bash", "start-agent"]);
    let tool = process("/bin/bash", &["bash", "-c", "make"]);
    let may = |now: &[&ProcessFacts], started| {
        let now: Vec<ProcessFacts> = now.iter().map(|p| (*p).clone()).collect();
        may_apply(&now, started, profile)
    };
    assert!(may(&[&shell], &shell));
    assert!(may(&[&wrapper, &tool], &wrapper));
    assert!(!may(&[&wrapper, &shell], &wrapper));
    assert!(!may(&[&shell], &wrapper));
}

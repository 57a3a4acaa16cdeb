//! One message, step by step, on a screen and beside a kernel that are set at will.

use std::time::SystemTime;

use super::*;
use crate::pure::profile::{Profile, Profiles};
use crate::pure::screen::Screen;
use crate::pure::view::View;
use crate::units::TermSize;

const BUSY: &str = " ⠋ Thinking… (0s · esc to interrupt)";

/// One message on its way to a demo-like runtime, whose screen and kernel are set at will.
struct Scene {
    delivery: Delivery,
    screen: Screen,
    profile: Profile,
    start: Instant,
    ms: u64,
    unread: usize,
    life: Life,
    key: Option<Instant>,
    last_turn: Option<Instant>,
    turn_due: bool,
    record_within: Option<Duration>,
    hand_text: bool,
}

impl Scene {
    fn new(text: &str) -> Scene {
        let start = Instant::now();
        let profile = match Profiles::with(&[]).named("demo") {
            Some(profile) => profile.clone(),
            None => panic!("no demo profile"),
        };
        let order = Order {
            id: "m".into(),
            text: text.into(),
            words_at: 0,
            asked: start,
            asked_wall: SystemTime::UNIX_EPOCH,
            deadline: start + Duration::from_secs(10),
            when_busy: WhenBusy::Hold,
            when_draft: WhenDraft::Refuse,
            kept: false,
        };
        let mut scene = Scene {
            delivery: Delivery::new(order),
            screen: Screen::new(TermSize { cols: 60, rows: 12 }),
            profile,
            start,
            ms: 0,
            unread: 0,
            life: Life::Running,
            key: None,
            last_turn: None,
            turn_due: false,
            record_within: None,
            hand_text: false,
        };
        scene.draws("", "", "");
        scene
    }

    fn draws(&mut self, transcript: &str, status: &str, composer: &str) {
        let rule = "─".repeat(60);
        let frame = format!(
            "\x1b[?2004h\x1b[2J\x1b[H{transcript}\x1b[8;1H{status}\x1b[9;1H{rule}\x1b[11;1H{rule}\x1b[10;1H❭ {composer}"
        );
        self.screen.feed(frame.as_bytes());
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.ms)
    }

    /// One look, a fresh word of the kernel at hand.
    fn step(&mut self) -> Step {
        let view = View::of(&self.screen, &self.profile);
        let now = self.now();
        let sight = Sight {
            screen: &self.screen,
            view: Some(&view),
            profile: Some(&self.profile),
            pulse: Some(Pulse {
                at: now,
                pid: 1,
                raw: true,
                unread: self.unread,
                life: self.life,
                front: None,
            }),
            last_key: self.key,
            hand_text: self.hand_text,
            last_stall: None,
            been_ready: true,
            turn_due: self.turn_due,
            last_turn: self.last_turn,
            record_within: self.record_within,
            settled: true,
            still: true,
        };
        self.delivery.step(&sight, now)
    }

    /// It types these bytes, and they are written.
    fn types(&mut self, bytes: &[u8]) {
        assert_eq!(self.step(), Step::Type(bytes.to_vec()));
        self.delivery.written(Written::At(self.now()));
    }

    /// Nothing is typed for so long; the receipt if it ends meanwhile.
    fn waits(&mut self, for_ms: u64) -> Option<Box<Receipt>> {
        for _ in 0..for_ms / 50 {
            self.ms += 50;
            match self.step() {
                Step::Wait(_) => {}
                Step::Done(receipt) => return Some(receipt),
                other => panic!("at {} ms: {other:?}", self.ms),
            }
        }
        None
    }

    /// Paste and Enter, as in a healthy send.
    fn entered() -> Scene {
        let mut scene = Scene::new("run the tests");
        scene.types(b"\x1b[200~run the tests\x1b[201~");
        scene.draws("", "", "run the tests");
        scene.types(b"\r");
        scene
    }
}

#[test]
fn a_stopped_runtime_has_swallowed_nothing_and_its_turn_counts_when_it_runs_again() {
    let mut scene = Scene::entered();
    (scene.unread, scene.life) = (1, Life::Stopped);
    assert_eq!(scene.waits(10_000), None);
    (scene.unread, scene.life) = (0, Life::Running);
    scene.draws("❭ run the tests", BUSY, "");
    let receipt = scene.waits(1_000);
    assert_eq!(receipt.map(|r| r.verdict), Some(Verdict::Accepted));
}

#[test]
fn an_enter_that_is_never_read_ends_as_unknown_and_nothing_is_cleared() {
    let mut scene = Scene::entered();
    (scene.unread, scene.life) = (1, Life::Stopped);
    let receipt = scene.waits(40_000);
    assert_eq!(receipt.map(|r| r.verdict), Some(Verdict::Unknown));
}

#[test]
fn an_enter_that_was_late_after_all_is_accepted_and_not_called_retracted() {
    let mut scene = Scene::entered();
    scene.profile.send.enter_again_ms = 60_000;
    assert_eq!(scene.waits(5_000), None);
    scene.ms += 200;
    scene.types(b"\x15");
    scene.draws("❭ run the tests", BUSY, "");
    let receipt = scene.waits(1_000);
    assert_eq!(
        receipt.map(|r| (r.verdict, r.retracted)),
        Some((Verdict::Accepted, false))
    );
}

#[test]
fn a_draft_of_ours_is_taken_back_and_proven_gone() {
    let mut scene = Scene::entered();
    scene.profile.send.enter_again_ms = 60_000;
    assert_eq!(scene.waits(5_000), None);
    scene.ms += 200;
    scene.types(b"\x15");
    scene.draws("", "", "");
    let receipt = scene.waits(1_000);
    assert_eq!(
        receipt.map(|r| (r.verdict, r.retracted)),
        Some((Verdict::Draft, true))
    );
}

#[test]
fn what_somebody_typed_and_nobody_shows_yet_is_a_draft() {
    let mut scene = Scene::new("run the tests");
    (scene.key, scene.hand_text) = (Some(scene.now()), true);
    assert_eq!(scene.waits(2_900), None);
    scene.draws("", "", "half a thought");
    let receipt = scene.waits(1_000);
    assert_eq!(receipt.map(|r| r.verdict), Some(Verdict::Occupied));
}

#[test]
fn a_key_behind_our_enter_keeps_the_second_enter_and_the_clear_key_away() {
    let mut scene = Scene::entered();
    scene.ms += 1;
    scene.key = Some(scene.now());
    let receipt = scene.waits(10_000);
    assert_eq!(
        receipt.map(|r| (r.verdict, r.enters, r.retracted)),
        Some((Verdict::Draft, 1, false))
    );
}

#[test]
fn what_the_runtimes_own_record_should_have_is_not_believed_before_it_has_it() {
    let recorded = Recorded {
        by: "its own record".into(),
        text: "run the tests".into(),
        says: crate::pure::recorded::Says::Taken,
    };
    let mut scene = Scene::entered();
    scene.profile.send.record_ms = 1_500;
    scene.record_within = Some(Duration::MAX);
    scene.draws("❭ run the tests", BUSY, "");
    assert_eq!(scene.waits(3_000), None);
    assert!(scene.delivery.recorded(&recorded, scene.now()));
    let receipt = scene.waits(100);
    assert_eq!(receipt.map(|r| r.verdict), Some(Verdict::Accepted));
}

#[test]
fn a_prompt_that_a_hook_refused_is_unknown_however_much_it_looks_taken() {
    let mut scene = Scene::entered();
    scene.record_within = Some(Duration::MAX);
    scene.draws("❭ run the tests", BUSY, "");
    let receipt = scene.waits(10_000);
    assert!(scene.delivery.lacks_record());
    assert_eq!(receipt.map(|r| r.verdict), Some(Verdict::Unknown));
}

#[test]
fn a_record_that_was_never_seen_is_not_waited_for_long() {
    let mut scene = Scene::entered();
    scene.profile.send.record_ms = 1_500;
    scene.record_within = Some(Duration::from_millis(1_500));
    scene.draws("❭ run the tests", BUSY, "");
    assert_eq!(scene.waits(1_400), None);
    let receipt = scene.waits(300);
    assert_eq!(receipt.map(|r| r.verdict), Some(Verdict::Accepted));
}

#[test]
fn an_idle_moment_within_a_turn_is_not_its_end() {
    let mut scene = Scene::new("run the tests");
    scene.last_turn = Some(scene.now());
    assert_eq!(scene.waits(200), None);
    scene.ms += 50;
    scene.types(b"\x1b[200~run the tests\x1b[201~");
}

#[test]
fn a_turn_that_is_known_to_begin_is_waited_for_though_nothing_shows_it() {
    let mut scene = Scene::new("run the tests");
    scene.turn_due = true;
    assert_eq!(scene.waits(5_000), None);
    scene.turn_due = false;
    scene.types(b"\x1b[200~run the tests\x1b[201~");
}

#[test]
fn a_turn_that_begins_after_the_paste_gets_no_enter_before_its_end() {
    let mut scene = Scene::new("run the tests");
    scene.types(b"\x1b[200~run the tests\x1b[201~");
    scene.draws("", BUSY, "run the tests");
    assert_eq!(scene.waits(5_000), None);
    scene.draws("", "", "run the tests");
    scene.types(b"\r");
}

#[test]
fn a_message_that_is_kept_waits_for_a_draft_and_one_that_is_not_does_not() {
    let mut impatient = Scene::new("run the tests");
    impatient.draws("", "", "half a thought");
    let receipt = impatient.waits(1_000);
    assert_eq!(receipt.map(|r| r.verdict), Some(Verdict::Occupied));
    let mut patient = Scene::new("run the tests");
    patient.delivery.order.kept = true;
    patient.draws("", "", "half a thought");
    assert_eq!(patient.waits(5_000), None);
    patient.draws("", "", "");
    patient.types(b"\x1b[200~run the tests\x1b[201~");
}

#[test]
fn a_key_that_is_not_drawn_yet_keeps_enter_and_the_clear_key_away() {
    let mut scene = Scene::new("run the tests");
    scene.types(b"\x1b[200~run the tests\x1b[201~");
    scene.draws("", "", "run the tests");
    scene.ms += 1;
    scene.key = Some(scene.now());
    let receipt = scene.waits(3_000);
    assert_eq!(
        receipt.map(|r| (r.verdict, r.enters)),
        Some((Verdict::Draft, 0))
    );
}

//! The scenes in which one sender meets one situation.

use std::time::Duration;

use nix::libc;

use super::chance::{SHAPES, Shape};
use super::hazard;
use super::rig::{How, squeezed, wait_until};
use super::scenes::Scene;
use super::shots::{Fault, Shot};
use super::stage::{ARRIVES, Stage};

/// A held or typed message may be taken or not, but never both.
const ANY: &[&str] = &[];

impl Stage {
    pub(super) fn ready(&mut self, scene: Scene, shape: Shape) {
        self.pause(0, 400);
        let mut how = self.how(None);
        how.preamble |= matches!(shape, Shape::Slash | Shape::Bang);
        self.shoot(scene, shape, &how, &["accepted"]);
    }

    pub(super) fn during_turn(
        &mut self,
        scene: Scene,
        busy: Option<&'static str>,
        allowed: &'static [&'static str],
    ) {
        self.open_turn(scene, "slow=2");
        self.pause(0, 600);
        let (how, shape) = (self.how(busy), self.chance.pick(&SHAPES));
        self.shoot(scene, shape, &how, allowed);
    }

    pub(super) fn typed_into_turn(&mut self, scene: Scene) {
        self.open_turn(scene, "slow=3");
        for _ in 0..self.chance.within(1, 4) {
            self.pause(0, 700);
            let (how, shape) = (self.how(Some("type")), self.chance.pick(&SHAPES));
            self.shoot(scene, shape, &how, &["accepted", "queued"]);
        }
    }

    pub(super) fn parallel(&mut self, scene: Scene) {
        let others = [0, 1].map(|_| (self.message(Shape::Line, ""), self.how(None)));
        let (mine, how) = (self.message(Shape::Line, ""), self.how(None));
        let receipts = std::sync::Mutex::new(Vec::new());
        self.shoot_while(scene, mine, &how, &["accepted"], |rig| {
            std::thread::scope(|scope| {
                for ((text, token), how) in &others {
                    let receipts = &receipts;
                    scope.spawn(move || {
                        let receipt = rig.send(text, how);
                        receipts
                            .lock()
                            .expect("no panic")
                            .push((text, token, receipt));
                    });
                }
            });
        });
        let model = self.shots[self.shots.len() - 1].clone();
        for (text, token, receipt) in receipts.into_inner().expect("no panic") {
            let mut shot = Shot {
                text: text.clone(),
                token: token.clone(),
                receipt,
                faults: Vec::new(),
                ..model.clone()
            };
            if !shot.expected() {
                shot.blame(Fault::Verdict, &self.rig.screen());
            }
            self.shots.push(shot);
        }
    }

    pub(super) fn draft(&mut self, scene: Scene) {
        let draft = format!("half a thought {}", self.chance.token());
        self.rig.type_text(&draft);
        assert!(
            wait_until(Duration::from_secs(5), || self.rig.shows(&draft)),
            "{} does not show what is typed:\n{}",
            self.runtime,
            self.rig.screen()
        );
        let how = How {
            timeout: "2",
            ..self.how(None)
        };
        let shape = self.chance.pick(&SHAPES);
        self.shoot(scene, shape, &how, &["occupied"]);
        self.person_keeps(&draft);
        self.rig.clear_composer();
    }

    pub(super) fn typing(&mut self, scene: Scene) {
        self.by_hand = true;
        let typed = self.chance.token();
        let keys: Vec<(String, u64)> = typed
            .chars()
            .map(|c| (c.to_string(), self.chance.within(0, 50)))
            .collect();
        let message = self.message(Shape::Line, "");
        let how = How {
            timeout: "4",
            ..self.how(None)
        };
        // The keys of the scene before must be forgotten, or nothing would be typed at all.
        self.pause(450, 600);
        self.shoot_while(scene, message, &how, ANY, |rig| {
            for (key, pause) in &keys {
                std::thread::sleep(Duration::from_millis(*pause));
                rig.type_text(key);
            }
        });
        self.person_keeps(&typed);
        self.rig.clear_composer();
    }

    /// The person's text stands on the screen and never got to the model. Where ours fell into the middle
    /// of it and was not submitted, it stands there in two pieces.
    pub(super) fn person_keeps(&mut self, typed: &str) {
        let wanted = squeezed(typed);
        let ours = self
            .shots
            .last()
            .map(|s| squeezed(&s.text))
            .unwrap_or_default();
        let stands = wait_until(Duration::from_secs(3), || {
            let shown = squeezed(&self.rig.screen());
            shown.contains(&wanted) || shown.replace(&ours, "").contains(&wanted)
        });
        if !stands || self.rig.stub.got(typed).is_some() {
            self.blame_last(Fault::Draft);
        }
    }

    /// Makes the runtime ask for permission; the file that the tool would make.
    pub(super) fn ask_permission(&mut self, scene: Scene, when: &str) -> std::path::PathBuf {
        let file = format!("made-by-{}", self.chance.token());
        self.open_turn(scene, &format!("{when} tool=touch_{file}"));
        self.rig.project().join(file)
    }

    pub(super) fn dialog_is_open(&self) -> bool {
        hazard::asks(&self.rig.screen())
    }

    pub(super) fn dialog_opens(&self) -> bool {
        wait_until(Duration::from_secs(8), || self.dialog_is_open())
    }

    pub(super) fn dialog(&mut self, scene: Scene) {
        let made = self.ask_permission(scene, "");
        assert!(self.dialog_opens(), "no dialog:\n{}", self.rig.screen());
        self.pause(0, 500);
        let (how, shape) = (self.how(None), self.chance.pick(&SHAPES));
        self.shoot(scene, shape, &how, &["blocked"]);
        if made.exists() || !self.dialog_is_open() {
            self.blame_last(Fault::Dialog);
        }
        let yes = self.chance.one_in(2);
        self.answer_dialog(if yes { "Enter" } else { "Escape" });
        let done = wait_until(Duration::from_secs(8), || made.exists() == yes);
        assert!(done, "the dialog was not answered:\n{}", self.rig.screen());
    }

    pub(super) fn answer_dialog(&mut self, key: &str) {
        self.rig.press(&[key]);
        wait_until(Duration::from_secs(5), || !self.dialog_is_open());
    }

    pub(super) fn dialog_race(&mut self, scene: Scene, busy: Option<&'static str>) {
        let first = self.chance.within(0, 500);
        let made = self.ask_permission(scene, &format!("first=0.{first:03}"));
        self.pause(0, 600);
        let how = self.how(busy);
        self.shoot(scene, Shape::Line, &how, ANY);
        // A message that was steered into the turn may have called the tool off.
        let open = self.dialog_opens();
        if made.exists() {
            self.blame_last(Fault::Dialog);
        }
        if open {
            self.answer_dialog("Escape");
        }
    }

    pub(super) fn stopped(&mut self, scene: Scene, since_ms: u64) {
        self.rig.signal(libc::SIGSTOP);
        self.pause(since_ms, since_ms + 1);
        let how = How {
            timeout: "2",
            ..self.how(None)
        };
        let shape = self.chance.pick(&SHAPES);
        self.shoot(scene, shape, &how, &["unready"]);
        self.rig.signal(libc::SIGCONT);
        // What was typed after all is read only now.
        if self.shots.last().is_some_and(|s| s.receipt.typed) {
            wait_until(Duration::from_secs(5), || self.rig.holds_draft());
        }
    }

    pub(super) fn freeze(&mut self, scene: Scene) {
        let (message, how) = (self.message(Shape::Line, ""), self.how(None));
        let (after, lasts) = (self.chance.within(0, 120), self.chance.within(300, 6_000));
        self.shoot_while(scene, message, &how, ANY, |rig| {
            std::thread::sleep(Duration::from_millis(after));
            rig.signal(libc::SIGSTOP);
            std::thread::sleep(Duration::from_millis(lasts));
            rig.signal(libc::SIGCONT);
        });
    }

    pub(super) fn fails(&mut self, scene: Scene) {
        self.open_turn(scene, "fail=500");
        let token = self.shots[self.shots.len() - 1].token.clone();
        wait_until(ARRIVES, || self.rig.stub.got(&token).is_some());
        // Retries go on for minutes on claude; a person ends them, and gets the message back there.
        self.by_hand = true;
        self.pause(0, 1_500);
        if self.rig.state() == "busy" {
            self.press_interrupt();
        }
    }

    /// The key that ends a turn. opencode wants it twice, and apart: at once they are Alt-Escape.
    pub(super) fn press_interrupt(&self) {
        self.rig.press(&["Escape"]);
        if self.runtime == "opencode" {
            std::thread::sleep(Duration::from_millis(300));
            self.rig.press(&["Escape"]);
        }
    }

    pub(super) fn resize(&mut self, scene: Scene) {
        let (shape, how) = (self.chance.pick(&SHAPES), self.how(None));
        let message = self.message(shape, "");
        let pauses = [0; 3].map(|_| self.chance.within(0, 120));
        self.shoot_while(scene, message, &how, &["accepted"], |rig| {
            for (pause, (cols, rows)) in pauses.iter().zip([(90, 30), (70, 44), (120, 40)]) {
                std::thread::sleep(Duration::from_millis(*pause));
                rig.resize(cols, rows);
            }
        });
    }

    pub(super) fn upgrade(&mut self, scene: Scene) {
        if self.chance.one_in(2) {
            self.open_turn(scene, "slow=2");
        }
        let (shape, how) = (self.chance.pick(&SHAPES), self.how(None));
        let message = self.message(shape, "");
        let after = self.chance.within(0, 600);
        self.shoot_while(scene, message, &how, &["accepted"], |rig| {
            std::thread::sleep(Duration::from_millis(after));
            rig.upgrade();
        });
    }

    pub(super) fn interrupt(&mut self, scene: Scene) {
        self.open_turn(scene, "slow=3");
        let token = self.shots[self.shots.len() - 1].token.clone();
        wait_until(ARRIVES, || self.rig.stub.got(&token).is_some());
        self.by_hand = true;
        let (message, how) = (self.message(Shape::Line, ""), self.how(None));
        let after = self.chance.within(0, 800);
        self.shoot_while(scene, message, &how, ANY, |rig| {
            std::thread::sleep(Duration::from_millis(after));
            rig.press(&["Escape"]);
        });
    }

    pub(super) fn rejected(&mut self, scene: Scene) {
        let (text, token) = self.message(Shape::Line, "");
        let how = How {
            preamble: false,
            ..How::default()
        };
        let bad = self.chance.pick(&["!", "/", "\u{1b}[201~", "\u{7}"]);
        self.shoot_while(
            scene,
            (format!("{bad}{text}"), token),
            &how,
            &["rejected"],
            |_| {},
        );
    }

    pub(super) fn gone(&mut self, scene: Scene) {
        let how = How {
            to: Some("nobody"),
            ..How::default()
        };
        self.shoot(scene, Shape::Line, &how, &["gone"]);
    }

    pub(super) fn ended(&mut self, scene: Scene) {
        self.rig.signal(libc::SIGKILL);
        wait_until(Duration::from_secs(5), || self.rig.state().is_empty());
        self.shoot(scene, Shape::Line, &How::default(), &["gone"]);
    }
}

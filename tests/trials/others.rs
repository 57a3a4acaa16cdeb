//! Scenes of people and scripts at the terminal: messages typed straight into it, drafts, menus, viewers.

use std::time::Duration;

use super::chance::{Shape, text};
use super::rig::{How, squeezed, unix_ms, wait_until};
use super::scenes::{Hand, Scene};
use super::shots::{Fault, Shot};
use super::stage::{ARRIVES, Stage};

/// What a send that must not type may say.
const NOT_NOW: &[&str] = &["blocked", "occupied"];

impl Stage {
    /// Types a message past the sidecar's senders and asks for its receipt by its text.
    pub(super) fn typed_by_other(&mut self, scene: Scene, hand: Hand) {
        let token = self.chance.token();
        let from_ms = unix_ms();
        let text = match hand {
            Hand::OneWrite(bytes) => {
                let mut text = format!("{token} once more");
                while text.len() + 1 < bytes {
                    text.push_str(if text.len().is_multiple_of(6) {
                        " "
                    } else {
                        "x"
                    });
                }
                text
            }
            Hand::Keys => text(&mut self.chance, Shape::Line, &token, ""),
            Hand::Paste(_) => {
                let shape = self.chance.pick(&[Shape::Line, Shape::Lines(5)]);
                text(&mut self.chance, shape, &token, "")
            }
        };
        match hand {
            Hand::Keys => {
                for letter in text.chars() {
                    self.rig.type_text(&letter.to_string());
                }
                self.rig.press(&["Enter"]);
            }
            Hand::OneWrite(_) => self.rig.paste(&format!("{text}\r"), false),
            Hand::Paste(gap) => {
                self.rig.paste(&text, true);
                std::thread::sleep(Duration::from_millis(gap));
                self.rig.press(&["Enter"]);
            }
        }
        /// A text that stays in the composer is watched for 30 s before it is called a draft.
        const WATCHED: Duration = Duration::from_secs(35);
        let mut receipt = self.rig.verify(&token);
        wait_until(WATCHED, || {
            receipt = self.rig.verify(&token);
            receipt.typed && !receipt.open && receipt.verdict != "held"
        });
        // The runtime may be slower than the verdict.
        if receipt.verdict != "draft" {
            wait_until(ARRIVES, || self.rig.stub.got(&token).is_some());
        }
        let mut shot = Shot::new(scene, (text, token), receipt, from_ms);
        shot.after = self
            .rig
            .aftermath((!shot.promised()).then_some(&shot.token));
        self.by_hand = true;
        self.shots.push(shot);
    }

    pub(super) fn draft_lines(&mut self, scene: Scene) {
        let lines = [0; 3].map(|_| format!("half a thought {}", self.chance.token()));
        self.rig.paste(&lines.join("\n"), true);
        wait_until(Duration::from_secs(5), || self.rig.holds_draft());
        let before = self.rig.screen();
        let how = How {
            timeout: "2",
            ..self.how_now()
        };
        self.shoot(scene, Shape::Line, &how, &["occupied"]);
        let submitted = lines.iter().any(|l| self.rig.stub.got(l).is_some());
        if submitted || !self.rig.holds_draft() || squeezed(&before) != squeezed(&self.rig.screen())
        {
            self.blame_last(Fault::Draft);
        }
        self.rig.clear_composer();
    }

    pub(super) fn menu(&mut self, scene: Scene) {
        self.rig.type_text("/");
        // The menu is drawn some time after the key.
        self.pause(300, 600);
        self.in_front(scene, NOT_NOW);
        self.rig.press(&["BSpace"]);
        self.pause(200, 201);
        self.leave_screen(&["Escape"]);
    }

    pub(super) fn picker(&mut self, scene: Scene) {
        let command = match self.runtime.as_str() {
            "opencode" => "/models",
            _ => "/model",
        };
        self.rig.type_text(command);
        // The menu of commands must have taken the word in.
        self.pause(500, 700);
        self.rig.press(&["Enter"]);
        self.pause(1_200, 1_800);
        self.in_front(scene, NOT_NOW);
        self.leave_screen(&["Escape"]);
    }

    pub(super) fn transcript(&mut self, scene: Scene) {
        // codex keeps its composer in front, and takes messages.
        let (key, allowed) = match self.runtime.as_str() {
            "claude" => ("C-o", NOT_NOW),
            _ => ("C-t", &["accepted", "blocked"][..]),
        };
        self.rig.press(&[key]);
        self.pause(600, 1_000);
        self.in_front(scene, allowed);
        self.leave_screen(&[key]);
    }

    /// Sends while another screen is in front, which must not change.
    fn in_front(&mut self, scene: Scene, allowed: &'static [&'static str]) {
        let before = self.rig.screen();
        let how = How {
            timeout: "2",
            ..self.how_now()
        };
        self.shoot(scene, Shape::Line, &how, allowed);
        let typed = self.shots.last().is_some_and(|s| s.receipt.typed);
        if !typed && self.rig.screen() != before {
            self.blame_last(Fault::Choice);
        }
    }

    fn leave_screen(&mut self, keys: &[&str]) {
        wait_until(Duration::from_secs(10), || {
            let state = self.rig.state();
            if state == "ready" && !self.rig.holds_draft() {
                return true;
            }
            self.rig.press(keys);
            std::thread::sleep(Duration::from_millis(700));
            false
        });
        self.by_hand = true;
    }

    pub(super) fn recovers(&mut self, scene: Scene, status: u16) {
        self.open_turn(scene, &format!("fail={status}*1"));
        self.pause(0, 800);
        let how = self.how_now();
        self.shoot(scene, Shape::Line, &how, &["accepted", "busy"]);
        self.by_hand = true;
        wait_until(ARRIVES, || self.rig.state() == "ready");
        self.shoot(scene, Shape::Line, &how, &["accepted"]);
    }

    pub(super) fn queue_escape(&mut self, scene: Scene) {
        self.open_turn(scene, "slow=4");
        let token = self.shots[self.shots.len() - 1].token.clone();
        wait_until(ARRIVES, || self.rig.stub.got(&token).is_some());
        self.pause(100, 600);
        let how = How {
            busy: Some("type"),
            ..self.how_now()
        };
        self.shoot(scene, Shape::Line, &how, &["accepted", "queued"]);
        self.pause(0, 500);
        self.by_hand = true;
        self.press_interrupt();
        self.pause(1_000, 1_500);
    }

    pub(super) fn how_now(&mut self) -> How {
        How {
            preamble: self.chance.one_in(2),
            ..How::default()
        }
    }
}

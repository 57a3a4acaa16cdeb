//! Scenes of beginnings and ends: each begins a session of its own, or leaves a new one behind.

use std::time::Duration;

use super::chance::Shape;
use super::rig::{How, Start, wait_until};
use super::scenes::Scene;
use super::shots::Fault;
use super::stage::Stage;

impl Stage {
    pub(super) fn early(&mut self, scene: Scene) {
        self.reopen(&Start {
            wait: false,
            ..Start::default()
        });
        let how = self.how_now();
        self.shoot(scene, Shape::Line, &how, &["accepted"]);
    }

    pub(super) fn trust(&mut self, scene: Scene) {
        self.reopen(&Start {
            trusted: false,
            wait: false,
            ..Start::default()
        });
        let asks = || self.rig.screen().to_lowercase().contains("trust");
        let asked = wait_until(Duration::from_secs(30), asks);
        assert!(asked, "no question of trust:\n{}", self.rig.screen());
        let how = How {
            timeout: "2",
            ..self.how_now()
        };
        self.shoot(scene, Shape::Line, &how, &["blocked", "unready"]);
        let still = self.rig.screen().to_lowercase().contains("trust");
        if !still {
            self.blame_last(Fault::Dialog);
        }
        if self.runtime == "claude" {
            // "No" stands first.
            self.rig.press(&["Down"]);
            self.pause(300, 400);
        }
        self.rig.press(&["Enter"]);
        wait_until(Duration::from_secs(20), || self.rig.state() == "ready");
        let how = self.how_now();
        self.shoot(scene, Shape::Line, &how, &["accepted"]);
    }

    pub(super) fn size(&mut self, scene: Scene, size: (u16, u16)) {
        self.reopen(&Start {
            size: Some(size),
            wait: false,
            ..Start::default()
        });
        for shape in [Shape::Line, Shape::Lines(5)] {
            let how = self.how_now();
            self.shoot(scene, shape, &how, &["accepted"]);
        }
    }

    /// Ends the runtime by its own command, and sends while it ends.
    pub(super) fn leaving(&mut self, scene: Scene) {
        let command = match self.runtime.as_str() {
            "pi" | "codex" => "/quit",
            _ => "/exit",
        };
        self.rig.type_text(command);
        self.pause(500, 700);
        self.rig.press(&["Enter"]);
        self.pause(0, 500);
        let how = How {
            timeout: "3",
            ..self.how_now()
        };
        self.shoot(
            scene,
            Shape::Line,
            &how,
            &["gone", "unready", "blocked", "occupied"],
        );
        self.reopen(&Start::default());
    }

    pub(super) fn reset(&mut self, scene: Scene) {
        let command = match self.runtime.as_str() {
            "claude" | "codex" => "/clear",
            _ => "/new",
        };
        self.rig.type_text(command);
        self.pause(500, 700);
        self.rig.press(&["Enter"]);
        self.pause(0, 800);
        self.by_hand = true;
        let how = self.how_now();
        self.shoot(scene, Shape::Line, &how, &["accepted"]);
    }

    pub(super) fn resume(&mut self, scene: Scene) {
        let args = match self.runtime.as_str() {
            "codex" => "resume --last",
            _ => "--continue",
        };
        let runtime = self.runtime.clone();
        self.rig.restart(&runtime, args);
        let how = self.how_now();
        self.shoot(scene, Shape::Line, &how, &["accepted"]);
    }
}

//! One turn: its length, the reply that is streamed, the question in the middle, its end. Which message is next is
//! the queue's order; what a message is was decided when it was typed.

use super::{App, DIALOG_CMD, Effect, Event, Row};

/// How much of a message the reply quotes.
const QUOTE_CHARS: usize = 40;
/// The longest turn that a message may ask for, in seconds.
const SLOW_MAX: f64 = 86_400.0;

/// The turn that runs.
#[derive(Debug)]
pub(super) struct Turn {
    /// When it started, moved forward by every pause.
    pub(super) begun: u64,
    /// How long it lasts.
    pub(super) length: u64,
    /// When to ask, counted like `length`.
    pub(super) ask_at: Option<u64>,
    /// The words of the reply, and how many of them are shown.
    words: Vec<String>,
    shown: usize,
    /// The serial number of the reply's row.
    row: Option<u64>,
}

impl App {
    /// Streams the reply, asks and ends the turn, each when its time has come.
    pub(super) fn run_turn(&mut self) {
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
        let reply = Row::Reply(reply);
        let left = match row {
            Some(serial) => self.transcript.replace(serial, reply),
            None => Err(reply),
        };
        if let Err(reply) = left {
            let last = self.transcript.block([reply]);
            if let Some(turn) = &mut self.turn {
                turn.row = Some(last);
            }
        }
    }

    pub(super) fn start_turn(&mut self, text: String) {
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

    pub(super) fn end_turn(&mut self, interrupted: bool) {
        if self.turn.take().is_none() {
            return;
        }
        self.effects.push(Effect::Log(Event::Done { interrupted }));
        if let Some(next) = self.queue.pop_front() {
            self.start_turn(next);
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

    #[test]
    fn a_message_sets_the_length_of_its_turn() {
        assert_eq!(slow_ms("x slow=1.5, y"), Some(1500));
        assert_eq!(slow_ms("slow=2."), Some(2000));
        assert_eq!(slow_ms("slow=no"), None);
    }
}

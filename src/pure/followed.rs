//! Messages whose first verdict is not the end of the story.
//!
//! A queued message is delivered when its turn comes, or handed back into the composer when somebody presses
//! Escape (pi does so). What somebody else typed and entered is called a draft after some seconds in the composer,
//! and a runtime that had no time to read takes it after all. Either is seen, and the receipt is told what came of it.

use std::time::{Duration, Instant};

use super::handover::{Ago, CarriedFollowed};
use super::judge::Wanted;
use super::receipt::{Evidence, Receipt, Verdict, Witness};
use super::recorded::{Recorded, Says};
use super::view::View;

/// A turn may last long; a queued message is followed for this time at most.
const FOLLOWED_FOR: Duration = Duration::from_secs(3_600);

/// A runtime that has not acted on an Enter for so long will not any more.
const SLOW_FOR: Duration = Duration::from_secs(60);

/// One of them.
#[derive(Debug)]
pub struct Followed {
    /// Its id.
    pub id: String,
    wanted: Wanted,
    since: Instant,
    /// It seemed not to be taken: only the runtime's record says otherwise, and only up to the next Enter.
    pub doubted: bool,
}

impl Followed {
    /// Follows a message that was judged to be queued.
    pub fn new(id: String, wanted: Wanted, since: Instant) -> Followed {
        Followed {
            id,
            wanted,
            since,
            doubted: false,
        }
    }

    /// Follows one of which nothing showed that it was taken.
    pub fn doubted(id: String, wanted: Wanted, since: Instant) -> Followed {
        Followed {
            doubted: true,
            ..Followed::new(id, wanted, since)
        }
    }

    /// Over an upgrade.
    pub fn carried(&self, now: Instant) -> CarriedFollowed {
        CarriedFollowed {
            id: self.id.clone(),
            letters: self.wanted.letters().to_owned(),
            ago: Ago::of(self.since, now),
        }
    }

    /// Goes on with what was carried.
    pub fn resume(carried: CarriedFollowed, now: Instant) -> Followed {
        let wanted = Wanted::new(&carried.letters, 0);
        Followed::new(carried.id, wanted, carried.ago.before(now))
    }

    /// Whether it may be forgotten.
    pub fn is_over(&self, now: Instant) -> bool {
        let most = if self.doubted { SLOW_FOR } else { FOLLOWED_FOR };
        now.saturating_duration_since(self.since) >= most
    }

    /// Whether the composer holds it again. To be asked while nothing of ours is being typed.
    pub fn was_handed_back(&self, view: &View) -> bool {
        let stands = |text| self.wanted.stands_in(text);
        !self.doubted && view.composer.as_ref().is_some_and(|c| stands(&c.text))
    }

    /// Whether the runtime has written down that the model gets it.
    pub fn was_delivered(&self, recorded: &Recorded) -> bool {
        recorded.says == Says::Taken && self.wanted.is(recorded)
    }

    /// What the receipt says from now on.
    pub fn revise(&self, receipt: &mut Receipt, verdict: Verdict, sign: &str, now: Instant) {
        let ms = now.saturating_duration_since(self.since).as_millis();
        receipt.evidence.push(Evidence {
            by: match verdict {
                Verdict::Accepted => Witness::Runtime,
                _ => Witness::Screen,
            },
            sign: sign.to_owned(),
            ms: u64::try_from(ms).unwrap_or(u64::MAX),
        });
        sign.clone_into(&mut receipt.reason);
        receipt.was = Some(receipt.verdict);
        receipt.verdict = verdict;
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::pure::view::Composer;

    const TEXT: &str = "[a:b -> c:d] when you are done, run the tests";

    fn followed() -> Followed {
        Followed::new("7".into(), Wanted::new(TEXT, 13), Instant::now())
    }

    fn holding(text: &str) -> View {
        View {
            composer: Some(Composer {
                top: 10,
                bottom: 10,
                text: text.into(),
                has_cursor: true,
            }),
            ..View::default()
        }
    }

    #[test]
    fn a_message_that_stands_in_the_composer_again_was_handed_back() {
        assert!(followed().was_handed_back(&holding(TEXT)));
        let with_another = format!("first things first\n\n{TEXT}");
        assert!(followed().was_handed_back(&holding(&with_another)));
    }

    #[test]
    fn an_empty_composer_and_a_text_that_only_begins_alike_are_not_the_message() {
        for text in ["", "[a:b -> c:d] when you are done, go home"] {
            assert!(!followed().was_handed_back(&holding(text)), "{text}");
        }
        let short = Followed::new("8".into(), Wanted::new("ok", 0), Instant::now());
        assert!(!short.was_handed_back(&holding("look at this book")));
        assert!(short.was_handed_back(&holding("ok")));
    }

    #[test]
    fn what_stands_in_the_composer_already_is_not_handed_back_and_not_followed_for_long() {
        let now = Instant::now();
        let doubted = Followed::doubted("9".into(), Wanted::new(TEXT, 13), now);
        assert!(!doubted.was_handed_back(&holding(TEXT)));
        assert!(!doubted.is_over(now));
        assert!(doubted.is_over(now + SLOW_FOR));
    }

    #[test]
    fn only_an_entry_that_the_model_gets_it_is_its_delivery() {
        let entry = |says, text: &str| Recorded {
            by: "pi session".into(),
            text: text.into(),
            says,
        };
        assert!(followed().was_delivered(&entry(Says::Taken, TEXT)));
        assert!(!followed().was_delivered(&entry(Says::Queued, TEXT)));
        assert!(!followed().was_delivered(&entry(Says::Submitted, TEXT)));
        assert!(!followed().was_delivered(&entry(Says::Taken, "something else")));
    }

    #[test]
    fn the_receipt_tells_what_was_said_first_and_what_came_of_it() {
        let mut receipt = Receipt::bare("7", Verdict::Queued, "queued", SystemTime::now());
        let followed = followed();
        let later = followed.since + Duration::from_millis(40);
        followed.revise(&mut receipt, Verdict::Draft, "handed back", later);
        assert_eq!(receipt.verdict, Verdict::Draft);
        assert_eq!(receipt.was, Some(Verdict::Queued));
        assert_eq!(receipt.evidence[0].ms, 40);
    }
}

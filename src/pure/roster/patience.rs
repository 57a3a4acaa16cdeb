//! How long the silent are waited for: as long as the others show that it may take, and no longer.

use std::time::Duration;

/// Whoever answers does so within a few milliseconds; on a machine with both cores busy a hundred took 60.
const LEAST: Duration = Duration::from_millis(100);

/// On a machine on which nobody answers sooner.
const MOST: Duration = Duration::from_millis(800);

/// The silent get this many times what the slowest of the others has taken.
const TIMES: u32 = 4;

/// How long after the question the wait is over. `asked` sockets were asked and not refused, `answered` of them
/// have answered, the last of them after `slowest`.
///
/// Only when half have answered is it known how fast this machine is today; one agent alone gets the most.
pub fn until(asked: usize, answered: usize, slowest: Duration) -> Duration {
    if answered * 2 < asked {
        return MOST;
    }
    (slowest * TIMES).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_silent_among_many_is_not_waited_for_and_a_slow_machine_is() {
        let ms = Duration::from_millis;
        assert_eq!(until(100, 99, ms(10)), LEAST);
        assert_eq!(until(100, 99, ms(60)), ms(240));
        assert_eq!(until(100, 99, ms(700)), MOST);
        assert_eq!(until(100, 49, ms(10)), MOST);
        assert_eq!(until(1, 0, ms(0)), MOST);
        assert_eq!(until(2, 1, ms(1)), LEAST);
    }
}

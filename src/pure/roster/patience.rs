//! How long the silent are waited for: as long as the others show that it may take, and no longer.

use std::time::Duration;

/// Whoever answers does so within a few milliseconds; on a machine with both cores busy a hundred took 60.
const LEAST: Duration = Duration::from_millis(100);

/// For a sidecar that is there, on a machine that is busy beyond measure.
const MOST: Duration = Duration::from_millis(800);

/// The others get this many times what the slowest has taken that did answer.
const TIMES: u32 = 4;

/// How long after the question the wait is over. `sidecars`: among those that have not answered is a process that
/// holds its agent's lock and runs. That one will answer; a socket without such a process hardly ever does.
pub fn until(sidecars: bool, slowest: Duration) -> Duration {
    if sidecars {
        return MOST;
    }
    (slowest * TIMES).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_no_sidecar_is_not_waited_for_and_a_slow_machine_is() {
        let ms = Duration::from_millis;
        assert_eq!(until(false, ms(10)), LEAST);
        assert_eq!(until(false, ms(60)), ms(240));
        assert_eq!(until(false, ms(700)), MOST);
        assert_eq!(until(true, ms(1)), MOST);
    }
}

//! Whether to stay awake for a moment after a turn, instead of going to sleep
//! until the next event.
//!
//! Falling asleep and being woken costs CPU time, and on virtual machines often
//! more than the few dozen microseconds after which a peer answers. Whether it
//! does is measured: while events come in quick succession, both ways are tried,
//! and the one that costs less CPU time per event is kept. Where there is
//! nothing to do, or less often, nobody stays awake.
//!
//! Asked by the binding, which reads the clocks and does the waiting. Knows no
//! clock, no loop, and nothing of what an event is.

use std::time::Duration;

/// How long to stay awake at the most.
pub const LIMIT: Duration = Duration::from_micros(50);
/// A pause after which it all begins anew, asleep.
const PAUSE: Duration = Duration::from_millis(1);
/// The events that one measurement is about.
const EPOCH: u32 = 128;
/// With so many events in a turn there is no rest to speak of.
const BUSY: u32 = 32;
/// The way that is not in use is tried once in so many measurements.
const PROBE: u32 = 64;
/// What an event may cost awake, in times of what it costs with sleep: being
/// sooner is worth a little.
const WORTH: f64 = 1.1;
/// The share of the last measurement in the mean.
const SHARE: f64 = 0.25;

/// Measures, and decides.
#[derive(Debug, Default)]
pub struct Vigil {
    awake: bool,
    /// When the last turn ended.
    last: Duration,
    /// The CPU time when the current measurement began.
    since: Option<Duration>,
    events: u32,
    epochs: u32,
    /// Microseconds of CPU time per event: asleep, awake.
    costs: [Option<f64>; 2],
}

impl Vigil {
    /// To be called at the end of a turn with `events` events, at `now`; `cpu`
    /// gives the CPU time that the thread has used so far. Says whether to stay
    /// awake, for [`LIMIT`].
    pub fn after_turn(
        &mut self,
        events: u32,
        now: Duration,
        cpu: impl FnOnce() -> Duration,
    ) -> bool {
        let pause = now.saturating_sub(self.last);
        self.last = now;
        if pause > PAUSE {
            *self = Self {
                last: now,
                ..Self::default()
            };
            return false;
        }
        self.events = self.events.saturating_add(events);
        match self.since {
            None => self.begin(cpu()),
            Some(since) if self.events >= EPOCH => {
                let cpu = cpu();
                self.measured(cpu.saturating_sub(since));
                self.begin(cpu);
            }
            Some(_) => {}
        }
        self.awake && events < BUSY
    }

    fn begin(&mut self, cpu: Duration) {
        self.since = Some(cpu);
        self.events = 0;
    }

    /// Takes note of what the events cost, and decides how to go on.
    fn measured(&mut self, cpu: Duration) {
        let cost = cpu.as_secs_f64() * 1e6 / f64::from(self.events);
        let mean = &mut self.costs[usize::from(self.awake)];
        *mean = Some(mean.map_or(cost, |mean| mean + (cost - mean) * SHARE));
        self.epochs = self.epochs.wrapping_add(1);
        self.awake = match self.costs {
            [Some(asleep), Some(awake)] => {
                let is_better = awake <= asleep * WORTH;
                is_better ^ self.epochs.is_multiple_of(PROBE)
            }
            [asleep, _] => asleep.is_some(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays turns of one event each; `cost` gives the CPU time of an event by
    /// whether it was awaited awake. Returns how many were.
    fn play(vigil: &mut Vigil, turns: u32, gap: Duration, cost: impl Fn(bool) -> u64) -> u32 {
        let mut awake = false;
        let mut count = 0;
        let mut now = vigil.last;
        let mut cpu = Duration::from_secs(1);
        for _ in 0..turns {
            now += gap;
            cpu += Duration::from_micros(cost(awake));
            awake = vigil.after_turn(1, now, || cpu);
            count += u32::from(awake);
        }
        count
    }

    const QUICK: Duration = Duration::from_micros(80);

    #[test]
    fn stays_awake_where_that_costs_less() {
        let mut vigil = Vigil::default();
        let turns = 100 * EPOCH;
        let awake = play(
            &mut vigil,
            turns,
            QUICK,
            |awake| if awake { 30 } else { 50 },
        );
        assert!(awake > turns * 9 / 10, "{awake}");
    }

    #[test]
    fn sleeps_where_that_costs_less() {
        let mut vigil = Vigil::default();
        let turns = 100 * EPOCH;
        let awake = play(
            &mut vigil,
            turns,
            QUICK,
            |awake| if awake { 40 } else { 12 },
        );
        assert!(awake > 0 && awake < turns / 20, "{awake}");
    }

    #[test]
    fn changes_its_mind_when_the_costs_do() {
        let mut vigil = Vigil::default();
        play(
            &mut vigil,
            10 * EPOCH,
            QUICK,
            |awake| if awake { 40 } else { 12 },
        );
        let turns = 1000 * EPOCH;
        let awake = play(
            &mut vigil,
            turns,
            QUICK,
            |awake| if awake { 10 } else { 50 },
        );
        assert!(awake > turns * 3 / 4, "{awake}");
    }

    #[test]
    fn nobody_stays_awake_for_events_that_are_far_between() {
        let mut vigil = Vigil::default();
        play(
            &mut vigil,
            10 * EPOCH,
            QUICK,
            |awake| if awake { 10 } else { 50 },
        );
        assert!(vigil.awake);
        let rare = PAUSE + Duration::from_micros(1);
        assert_eq!(play(&mut vigil, 10 * EPOCH, rare, |_| 10), 0);
    }

    #[test]
    fn nobody_stays_awake_after_a_busy_turn() {
        let mut vigil = Vigil::default();
        play(
            &mut vigil,
            10 * EPOCH,
            QUICK,
            |awake| if awake { 10 } else { 50 },
        );
        let now = vigil.last + QUICK;
        assert!(!vigil.after_turn(BUSY, now, Duration::default));
        assert!(vigil.after_turn(1, now + QUICK, Duration::default));
    }
}

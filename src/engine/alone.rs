//! Whether a home serves one connection and no other, so that the driver need
//! not be asked who is ready.
//!
//! Kept by the home; knows ids, and nothing of what they stand for.

/// Whether one connection has the home to itself, as far as the last turns tell.
#[derive(Debug, Default)]
pub struct Alone {
    id: u32,
    /// How many turns of the driver in a row found this connection and no other.
    seen: u8,
    /// How many turns since then did without the driver.
    tried: u8,
}

impl Alone {
    /// Turns of the driver after which a connection is taken to be alone.
    const ENOUGH: u8 = 3;
    /// Turns that do without the driver at the most, so that others are seen.
    const MOST: u8 = 8;

    /// The connection to try.
    pub fn candidate(&self) -> Option<u32> {
        (self.seen >= Self::ENOUGH && self.tried < Self::MOST).then_some(self.id)
    }

    /// Takes note of which connections the driver found ready.
    pub fn saw(&mut self, ready: &[u32]) {
        match ready {
            [id] if *id == self.id => self.seen = self.seen.saturating_add(1),
            [id] => (self.id, self.seen) = (*id, 1),
            [] => {}
            _ => self.seen = 0,
        }
        self.tried = 0;
    }

    /// Takes note of whether the driver could be left out.
    pub fn tried(&mut self, is_done: bool) {
        self.tried += 1;
        if !is_done {
            self.seen = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(turns: &[&[u32]]) -> Alone {
        let mut alone = Alone::default();
        for ready in turns {
            alone.saw(ready);
        }
        alone
    }

    #[test]
    fn a_connection_is_alone_when_several_turns_have_found_no_other() {
        assert_eq!(seen(&[&[7], &[7]]).candidate(), None);
        assert_eq!(seen(&[&[7], &[7], &[7]]).candidate(), Some(7));
        // A turn without any says nothing.
        assert_eq!(seen(&[&[7], &[], &[7], &[7]]).candidate(), Some(7));
    }

    #[test]
    fn another_connection_ends_that() {
        assert_eq!(seen(&[&[7], &[7], &[7], &[8]]).candidate(), None);
        assert_eq!(seen(&[&[7], &[7], &[7], &[7, 8]]).candidate(), None);
        let turns: [&[u32]; 6] = [&[7], &[7], &[7], &[8], &[8], &[8]];
        assert_eq!(seen(&turns).candidate(), Some(8));
    }

    #[test]
    fn the_driver_is_asked_now_and_then() {
        let mut alone = seen(&[&[7], &[7], &[7]]);
        for _ in 0..Alone::MOST {
            assert_eq!(alone.candidate(), Some(7));
            alone.tried(true);
        }
        assert_eq!(alone.candidate(), None);
        alone.saw(&[7]);
        assert_eq!(alone.candidate(), Some(7));
    }

    #[test]
    fn a_turn_that_needs_the_driver_ends_it() {
        let mut alone = seen(&[&[7], &[7], &[7]]);
        alone.tried(false);
        assert_eq!(alone.candidate(), None);
    }
}

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

//! What stands above the composer: rows in blocks, the oldest of which fall away. Nothing here knows why a row is there.

use std::collections::VecDeque;

/// The most rows that the transcript keeps.
pub(super) const TRANSCRIPT_MAX: usize = 500;
/// Rows of [`Row::Flood`] that make one KB.
const FLOOD_ROWS_PER_KB: usize = 16;

/// One logical row of the transcript, not yet wrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Between two blocks.
    Blank,
    /// A line of a submitted message.
    User {
        /// The line.
        text: String,
        /// Whether it is the first of its message.
        first: bool,
    },
    /// What the agent says.
    Reply(String),
    /// Plain output.
    Note(String),
    /// What went wrong.
    Error(String),
    /// One coloured row of `/flood`, with its number.
    Flood(u64),
}

/// The rows that are kept.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    rows: VecDeque<Row>,
    /// The serial number of the first row that is kept.
    first_row: u64,
    /// The number of the next [`Row::Flood`].
    flood_row: u64,
}

impl Transcript {
    /// Oldest first.
    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.rows.iter()
    }

    /// Appends a block, apart from what stands above it. Returns the serial number of its last row.
    pub(super) fn block(&mut self, rows: impl IntoIterator<Item = Row>) -> u64 {
        if !self.rows.is_empty() {
            self.push(Row::Blank);
        }
        for row in rows {
            self.push(row);
        }
        (self.first_row + self.rows.len() as u64).saturating_sub(1)
    }

    /// Puts another row into the place of the one with this serial number. Gives it back when that is gone.
    pub(super) fn replace(&mut self, serial: u64, row: Row) -> Result<(), Row> {
        let at = serial.checked_sub(self.first_row);
        let at = at.and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.rows.get_mut(at)) {
            Some(old) => {
                *old = row;
                Ok(())
            }
            None => Err(row),
        }
    }

    /// Appends one KB of coloured rows.
    pub(super) fn flood(&mut self) {
        for _ in 0..FLOOD_ROWS_PER_KB {
            self.push(Row::Flood(self.flood_row));
            self.flood_row += 1;
        }
    }

    /// Forgets every row.
    pub(super) fn clear(&mut self) {
        self.first_row += self.rows.len() as u64;
        self.rows.clear();
    }

    fn push(&mut self, row: Row) {
        self.rows.push_back(row);
        if self.rows.len() > TRANSCRIPT_MAX {
            self.rows.pop_front();
            self.first_row += 1;
        }
    }
}

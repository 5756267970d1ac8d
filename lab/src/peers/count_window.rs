//! The last n calls.

use super::counts::Counts;

/// A ring of the last calls, and their sum.
#[derive(Clone, Debug)]
pub(super) struct CountWindow {
    calls: Box<[Counts]>,
    oldest: usize,
    sum: Counts,
}

impl CountWindow {
    /// A window of `size` calls, at least one.
    pub(super) fn new(size: u32) -> Self {
        let size = usize::try_from(size.max(1)).unwrap_or(usize::MAX);
        Self {
            calls: vec![Counts::default(); size].into(),
            oldest: 0,
            sum: Counts::default(),
        }
    }

    /// The number of calls in the window.
    pub(super) fn size(&self) -> u32 {
        u32::try_from(self.calls.len()).unwrap_or(u32::MAX)
    }

    /// Puts a call in the place of the oldest one. Returns the sum.
    pub(super) fn record(&mut self, call: Counts) -> Counts {
        let place = &mut self.calls[self.oldest];
        self.sum -= *place;
        self.sum += call;
        *place = call;
        self.oldest += 1;
        if self.oldest == self.calls.len() {
            self.oldest = 0;
        }
        self.sum
    }

    /// Forgets all calls.
    pub(super) fn clear(&mut self) {
        self.calls.fill(Counts::default());
        self.oldest = 0;
        self.sum = Counts::default();
    }
}

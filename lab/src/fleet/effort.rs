//! How much is simulated.

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// The lives with one outage each.
    pub lives: u32,
    /// The hours of 100 members in which no trip is due. A thousand members get a tenth.
    pub hours: f64,
    /// The minutes in which some members are broken.
    pub minutes: u32,
    /// The most members of a fleet. Larger fleets are left out.
    pub members: u32,
}

impl Effort {
    /// What takes some seconds.
    pub const QUICK: Self = Self {
        lives: 8,
        hours: 0.2,
        minutes: 8,
        members: 100,
    };
    /// What takes some minutes.
    pub const USUAL: Self = Self {
        lives: 40,
        hours: 24.0,
        minutes: 200,
        members: 1_000,
    };

    /// This effort, so many times.
    #[must_use]
    pub fn times(self, times: f64) -> Self {
        let count = |count: u32| whole(f64::from(count) * times).max(1);
        Self {
            lives: count(self.lives),
            hours: self.hours * times,
            minutes: count(self.minutes),
            members: self.members,
        }
    }

    /// Whether fleets of so many members are simulated.
    #[must_use]
    pub fn wants(&self, members: u32) -> bool {
        members <= self.members
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float beyond the range is its end"
)]
fn whole(value: f64) -> u32 {
    value.round() as u32
}

//! A server that is well, then fails, and then is well again.

/// A real server. It counts the calls that reach it.
pub(crate) trait Server {
    fn calls(&self) -> u64;
    fn fail(&self, fails: bool);
}

/// What a program says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Price,
    Failure,
    Rejection,
}

impl Answer {
    /// Reads an answer. `is_price` is for those that are no rejections.
    pub(crate) fn of(text: &str, is_price: bool) -> Self {
        match is_price {
            _ if text.contains("circuit breaker") => Self::Rejection,
            true => Self::Price,
            false => Self::Failure,
        }
    }
}

/// Makes one call, and looks whether it has reached the server.
fn call(server: &impl Server, ask: &mut impl FnMut() -> Answer) -> Answer {
    let before = server.calls();
    let answer = ask();
    let reached = u64::from(answer != Answer::Rejection);
    assert_eq!(server.calls() - before, reached, "{answer:?}");
    answer
}

/// A failure trips the breaker, callers are rejected, and prices come again without a command.
pub(crate) fn with_a_breaker(server: &impl Server, mut ask: impl FnMut() -> Answer) {
    for _ in 0..10 {
        assert_eq!(call(server, &mut ask), Answer::Price);
    }

    server.fail(true);
    let (mut failures, mut rejections) = (0, 0);
    while rejections < 10 {
        match call(server, &mut ask) {
            Answer::Price => panic!("a price of a server that fails"),
            Answer::Failure => failures += 1,
            Answer::Rejection => rejections += 1,
        }
    }
    // The default policy weighs them, so their number depends on how fast they come.
    assert!(failures >= 3, "{failures} failures have tripped it");

    server.fail(false);
    // More than there are probes.
    let mut prices_in_a_row = 0;
    while prices_in_a_row < 10 {
        match call(server, &mut ask) {
            Answer::Price => prices_in_a_row += 1,
            Answer::Failure => panic!("a failure of a server that is well"),
            Answer::Rejection => prices_in_a_row = 0,
        }
    }
}

/// Each call reaches the server, however often it has failed.
pub(crate) fn without_a_breaker(server: &impl Server, mut ask: impl FnMut() -> Answer) {
    assert_eq!(call(server, &mut ask), Answer::Price);
    server.fail(true);
    for _ in 0..20 {
        assert_eq!(call(server, &mut ask), Answer::Failure);
    }
    server.fail(false);
    assert_eq!(call(server, &mut ask), Answer::Price);
}

//! A few threads that share a list of work.

use std::sync::Mutex;
use std::thread;

/// Applies a function to each with its index, on so many threads. The results are in their order.
pub(crate) fn map<T: Send, R: Send>(
    items: Vec<T>,
    jobs: usize,
    function: impl Fn(usize, T) -> R + Sync,
) -> Vec<R> {
    let mut results: Vec<_> = items.iter().map(|_| None).collect();
    let done = Mutex::new(&mut results);
    let left = Mutex::new(items.into_iter().enumerate());
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no thread panicked").next();
                    let Some((index, item)) = next else { break };
                    let result = function(index, item);
                    done.lock().expect("no thread panicked")[index] = Some(result);
                }
            });
        }
    });
    let all: Option<Vec<_>> = results.into_iter().collect();
    all.expect("each item was taken")
}

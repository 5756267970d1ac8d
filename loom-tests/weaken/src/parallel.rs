//! Work on several threads.

use std::sync::Mutex;

/// Does the work for each item, on `jobs` threads. Returns the results in the items' order. The
/// work gets its thread's number, below `jobs`.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    jobs: usize,
    work: impl Fn(usize, &T) -> R + Sync,
) -> Vec<R> {
    let next = Mutex::new(0..items.len());
    let take = || next.lock().expect("no job panics here").next();
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let (take, results, work) = (&take, &results, &work);
            scope.spawn(move || {
                while let Some(index) = take() {
                    let result = work(job, &items[index]);
                    let mut results = results.lock().expect("no job panics here");
                    results.push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("the jobs are done");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_come_in_the_items_order() {
        let doubled = super::map(&[1, 2, 3, 4, 5], 3, |_, number| 2 * number);
        assert_eq!(doubled, [2, 4, 6, 8, 10]);
    }
}

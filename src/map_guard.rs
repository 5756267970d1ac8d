//! Guards of papaya's maps that work while a thread ends.
//!
//! A guard keeps what a reader has found. The cheap one belongs to the thread and goes by a number
//! that papaya's collector keeps in a thread-local. In the destructor of another thread-local that
//! number may be gone, and to ask for it panics. Then an owned guard is taken: it has a number of
//! its own, for which it takes the collector's lock, as each thread does once.
//!
//! An owned guard reads, but to write it asks for the number of the thread all the same. So a
//! thread that ends changes no map. It leaves to others what it can't do.
//!
//! A thread notes here that it ends. The note is written by a destructor that is registered after
//! the collector's own. Destructors run in the opposite order, so it is written before the number
//! is gone.

use std::cell::Cell;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};

use papaya::HashMap;

/// What is known of the thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// It has had no guard so far.
    New,
    /// The collector knows it.
    Known,
    /// It is about to end.
    Ending,
}

thread_local! {
    /// A constant that nobody drops, so that it can be read while the thread ends.
    static THREAD: Cell<Thread> = const { Cell::new(Thread::New) };

    static AT_THE_END: AtTheEnd = const { AtTheEnd };
}

struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        THREAD.set(Thread::Ending);
    }
}

/// Whether this thread can have a guard of its own to the map.
#[inline]
pub(crate) fn is_local<K: Hash + Eq, V>(map: &HashMap<K, V>) -> bool {
    THREAD.get() == Thread::Known || begin(map)
}

#[cold]
#[inline(never)]
fn begin<K: Hash + Eq, V>(map: &HashMap<K, V>) -> bool {
    if THREAD.get() == Thread::Ending {
        return false;
    }
    // If this thread is ending already and another crate has used the collector in it, this panics.
    let is_known = catch_unwind(AssertUnwindSafe(|| drop(map.guard()))).is_ok();
    let is_alive = is_known && AT_THE_END.try_with(|_| ()).is_ok();
    THREAD.set(if is_alive {
        Thread::Known
    } else {
        Thread::Ending
    });
    is_alive
}

/// Acts with a guard of a map: `guarded!(map, |guard, can_write| …)`. `can_write` says whether the
/// map may be changed. The act is written out twice, for two types of guards.
macro_rules! guarded {
    ($map:expr, |$guard:ident| $act:expr) => {
        $crate::map_guard::guarded!($map, |$guard, _can_write| $act)
    };
    ($map:expr, |$guard:ident, $can_write:ident| $act:expr) => {{
        let map = $map;
        if $crate::map_guard::is_local(map) {
            let ($guard, $can_write) = (map.guard(), true);
            $act
        } else {
            let ($guard, $can_write) = (map.owned_guard(), false);
            $act
        }
    }};
}
pub(crate) use guarded;

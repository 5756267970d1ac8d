//! Guards of papaya's maps that work while a thread ends.
//!
//! A guard keeps alive what a reader has found. The cheap kind belongs to the thread. It uses a
//! number that papaya's collector keeps in a thread-local. In the destructor of another
//! thread-local that number may be gone, and asking for it panics. There an owned guard is used. It
//! has its own number, and takes the collector's lock to get it, as each thread does once.
//!
//! An owned guard can read. To write, papaya asks for the thread's number even with an owned guard.
//! So a thread that ends changes no map, and leaves the change to other threads.
//!
//! A thread notes here that it ends. A destructor that is registered after the collector's own
//! writes the note. Destructors run in reverse order, so the note comes before the number is gone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{cell::Cell, hash::Hash};

use papaya::HashMap;

/// Whether the thread can have a cheap guard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thread {
    /// The thread has had no guard so far.
    New,
    /// The collector knows the thread.
    Known,
    /// The thread is about to end.
    Ending,
}

thread_local! {
    /// A constant without a destructor, so that it can be read while the thread ends.
    static THREAD: Cell<Thread> = const { Cell::new(Thread::New) };

    static AT_THE_END: EndOfThread = const { EndOfThread };
}

struct EndOfThread;

impl Drop for EndOfThread {
    fn drop(&mut self) {
        THREAD.set(Thread::Ending);
    }
}

/// Whether this thread can have a cheap guard to the map.
#[inline]
pub(crate) fn is_local<K: Hash + Eq, V>(map: &HashMap<K, V>) -> bool {
    THREAD.get() == Thread::Known || register_thread(map)
}

#[cold]
#[inline(never)]
fn register_thread<K: Hash + Eq, V>(map: &HashMap<K, V>) -> bool {
    if THREAD.get() == Thread::Ending {
        return false;
    }
    // This panics if the thread is already ending and another crate has used the collector in it.
    let is_known = catch_unwind(AssertUnwindSafe(|| drop(map.guard()))).is_ok();
    let is_alive = is_known && AT_THE_END.try_with(|_| ()).is_ok();
    THREAD.set(if is_alive {
        Thread::Known
    } else {
        Thread::Ending
    });
    is_alive
}

/// Runs code with a guard of a map: `guarded!(map, |guard, can_write| …)`. `can_write` says whether
/// the map may be changed. The code is expanded twice, for two types of guards.
macro_rules! guarded {
    ($map:expr, |$guard:ident| $act:expr) => {
        $crate::registry::map_guard::guarded!($map, |$guard, _can_write| $act)
    };
    ($map:expr, |$guard:ident, $can_write:ident| $act:expr) => {{
        let map = $map;
        if $crate::registry::map_guard::is_local(map) {
            let ($guard, $can_write) = (map.guard(), true);
            $act
        } else {
            let ($guard, $can_write) = (map.owned_guard(), false);
            $act
        }
    }};
}
pub(crate) use guarded;

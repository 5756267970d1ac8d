//! Tells changed code at run time which change is on, and notes the places it comes through.
//!
//! The environment variable `MUTANT` is the number of the change, or 0 for none. `MUTANT_REACHED`
//! is a file with a byte for each place. The code sets the byte of each place that it comes through.
//! The file is mapped into memory, so that it is complete however the process ends.
#![allow(internal_features)]
#![feature(const_eval_select, core_intrinsics)]

use std::env;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

struct Setting {
    on: u32,
    reached: Option<&'static [AtomicU8]>,
}

/// Which of the `count` changes from `first` on is on, counted from 1. 0 if none of them is.
///
/// Constants are evaluated without a change.
#[inline]
pub const fn at(first: u32, count: u32) -> u32 {
    std::intrinsics::const_eval_select((first, count), in_constant, in_call)
}

const fn in_constant(_: u32, _: u32) -> u32 {
    0
}

#[inline]
fn in_call(first: u32, count: u32) -> u32 {
    static SETTING: OnceLock<Setting> = OnceLock::new();
    let setting = SETTING.get_or_init(setting);
    if let Some(reached) = setting.reached {
        // Relaxed: only read after the process has ended.
        reached[first as usize].store(1, Ordering::Relaxed);
    }
    let offset = setting.on.wrapping_sub(first);
    if offset < count { offset + 1 } else { 0 }
}

#[cold]
fn setting() -> Setting {
    let on = env::var("MUTANT").map_or(0, |text| text.parse().expect("MUTANT is a number"));
    let reached = env::var_os("MUTANT_REACHED").map(|path| {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.expect("MUTANT_REACHED is a file");
        let length = file.metadata().expect("the file has a length").len();
        let length = usize::try_from(length).expect("the file fits into memory");
        // SAFETY: a new mapping of `length` bytes, which is never unmapped. All who write to it
        // write through atomics.
        unsafe {
            let mapped = libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            );
            assert_ne!(mapped, libc::MAP_FAILED, "the file can't be mapped");
            std::slice::from_raw_parts(mapped.cast::<AtomicU8>(), length)
        }
    });
    Setting { on, reached }
}

//! The memory of this process.

use std::alloc::System;
use std::fs;

use cap::Cap;

/// The system's allocator, which counts.
#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// What is allocated now, in KiB.
pub(crate) fn heap_kib() -> u64 {
    HEAP.allocated() as u64 / 1_024
}

/// The memory in use in KiB, as Linux counts it, or 0 on other systems.
pub(crate) fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|it| it.parse().ok()).unwrap_or(0)
}

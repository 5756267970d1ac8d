//! The histories of `tests/it/linear`.
#![allow(
    dead_code,
    unused_imports,
    reason = "the files belong to the crate's tests, which use all of them"
)]

#[path = "../../tests/it/effort.rs"]
mod effort;
#[path = "../../tests/it/linear/mod.rs"]
mod linear;
#[path = "../../tests/it/model/mod.rs"]
mod model;
#[path = "../../tests/it/race/mod.rs"]
mod race;

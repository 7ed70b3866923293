//! The recipe of `docs/ci.md`, here because a user's test would have an HTTP client too.

#[path = "../../examples/ci/rust/downloads.rs"]
mod downloads;

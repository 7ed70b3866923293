//! The JSON Schema of scenario files.

/// The JSON Schema (draft 2020-12) of scenario files and of files for `--config`. What it cannot say, the parser says.
pub const SCHEMA: &str = include_str!("../scenario.schema.json");

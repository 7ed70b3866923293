//! Scenario files: the reader of TOML, and the shape of a scenario in it.

mod reader;
mod scenario;
#[cfg(feature = "schema")]
mod schema;

pub use reader::{
    Problem, Section, Value, has_key, parse_duration, read_text, text, texts, unsigned,
};
pub use scenario::{KINDS, ScenarioError, read_capacity, read_scenario};
#[cfg(feature = "schema")]
pub use schema::schema;

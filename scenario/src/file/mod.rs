//! Scenario files: the reader of TOML, and the shape of a scenario in it.

mod limited;
mod reader;
mod scenario;
mod writer;

pub use limited::{MAX_TOML, read_bytes_limited, read_limited, remedy};
pub use reader::{
    Problem, Section, Value, has_key, parse_duration, parse_size, read_text, text, texts, unsigned,
};
#[cfg(feature = "schema")]
pub(crate) use scenario::{ALIASES, MALFORMED, MAX_WORKERS};
pub use scenario::{KINDS, ScenarioError, read_capacity, read_scenario};

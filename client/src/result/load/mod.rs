//! What a load has measured.

mod counts;
mod document;
mod generator;
mod times;
mod warning;

pub use self::counts::{Failure, RequestCounts, Throughput};
pub use self::document::{LoadJob, LoadKind, LoadResult};
pub use self::generator::GeneratorRecord;
pub use self::times::{LoadPercentiles, LoadTimes, Times};
pub use self::warning::LoadWarning;

//! Results: the documents as they are written to files, and what is computed from them alone.
//!
//! Nothing here measures or words anything.

mod analysis;
pub mod compare;
mod environment;
mod estimate;
mod load;
mod measurement;
mod ranking;
mod report;
pub mod stats;
pub mod threshold;

pub use self::analysis::{
    Analysis, Cause, Latencies, Loss, Outlier, Scaling, ScalingPoint, SeriesAnalysis, Warning,
};
pub use self::compare::Comparison;
pub use self::environment::Environment;
pub use self::estimate::Estimate;
pub use self::load::{
    Failure, LoadJob, LoadKind, LoadRanks, LoadResult, LoadTimes, LoadWarning, RequestCounts,
    Throughput, Times,
};
pub use self::measurement::{
    ContenderRecord, JobRecord, Kind, Measurement, Planned, PlannedAttempt, Round, SCHEMA_VERSION,
    ScenarioRecord, Series, ServerRecord,
};
pub use self::ranking::{Bounds, Ranking, Ranks};
pub use self::report::Report;

//! Results: the documents as they are written to files, and what is computed from them alone.
//!
//! Nothing here measures or words anything.

mod analysis;
mod censored;
pub mod compare;
mod environment;
mod estimate;
mod ideal;
pub mod interval;
mod load;
mod measurement;
mod report;
pub mod stats;
pub mod threshold;

pub use self::analysis::{
    Analysis, Cause, Excess, FEWEST_LEVELS, Latencies, Loss, MANY_WORKERS, Missing, Outlier,
    Ranking, Scaling, ScalingPoint, SeriesAnalysis, UnaskedRequests, Usl, Warning,
};
pub use self::censored::{Bounds, CensoredTimes, Percentiles};
pub use self::compare::Comparison;
pub use self::environment::{Environment, Neighbourhood};
pub use self::estimate::Estimate;
pub use self::ideal::{IdealTimes, NoIdeal};
pub use self::load::{
    Failure, GeneratorRecord, LoadJob, LoadKind, LoadPercentiles, LoadResult, LoadTimes,
    LoadWarning, RequestCounts, Throughput, Times,
};
pub use self::measurement::{
    CommandRequests, ContenderRecord, EMBEDDED, JobRecord, Kind, Measurement, OtherRequest,
    Planned, PlannedAttempt, PlannedDoubt, Round, SCHEMA_VERSION, ScenarioRecord, Series,
    ServerRecord,
};
pub use self::report::Report;

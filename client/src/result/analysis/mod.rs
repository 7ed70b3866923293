//! What a measurement means. Pure.

mod excess;
mod loss;
mod outlier;
mod plan;
mod ranking;
mod requests;
mod scaling;
mod series;
mod summary;
mod warning;

pub use self::excess::Excess;
pub(crate) use self::excess::percentile as excess_percentile;
pub use self::loss::Loss;
pub use self::outlier::{Cause, Outlier};
pub use self::ranking::Ranking;
pub use self::requests::UnaskedRequests;
pub use self::scaling::{FEWEST_LEVELS, MANY_WORKERS, Missing, Scaling, ScalingPoint, Usl};
pub(crate) use self::series::latencies;
pub use self::series::{Latencies, SeriesAnalysis};
pub use self::summary::Analysis;
pub use self::warning::Warning;

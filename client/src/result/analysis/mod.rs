//! What a measurement means. Pure.

mod loss;
mod outlier;
mod plan;
mod scaling;
mod summary;
mod warning;

pub use self::loss::Loss;
pub use self::outlier::{Cause, Outlier};
pub use self::scaling::{Scaling, ScalingPoint};
pub(crate) use self::summary::latencies;
pub use self::summary::{Analysis, Estimate, LaneAnalysis, Latencies};
pub use self::warning::Warning;

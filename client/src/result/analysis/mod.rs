//! What a measurement means. Pure.

mod lane;
mod loss;
mod outlier;
mod plan;
mod scaling;
mod summary;
mod warning;

pub(crate) use self::lane::latencies;
pub use self::lane::{LaneAnalysis, Latencies};
pub use self::loss::Loss;
pub use self::outlier::{Cause, Outlier};
pub use self::scaling::{Scaling, ScalingPoint};
pub use self::summary::Analysis;
pub use self::warning::Warning;

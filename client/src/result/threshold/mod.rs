//! What must hold for a build to pass: `async.p(99) < 250ms`.

mod grammar;
mod judgement;
mod metric;
mod names;

pub use self::grammar::{Threshold, ThresholdError};
pub use self::judgement::{Checked, Judgement, check, check_load};
pub use self::metric::{Found, Unit};
pub use self::names::{NotMeasured, check_load_metrics, check_names};

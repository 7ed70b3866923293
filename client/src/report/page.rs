//! Stub.
use crate::result::{Analysis, Measurement};
/// Stub.
pub fn html(_: &[(&str, &Measurement, &Analysis)]) -> String {
    String::new()
}

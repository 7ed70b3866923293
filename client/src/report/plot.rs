//! Stub.
use crate::result::{Analysis, Measurement};
/// Stub.
pub fn poster(_: &Measurement, _: &Analysis) -> String {
    String::new()
}
/// Stub.
#[expect(clippy::missing_errors_doc, clippy::unnecessary_wraps, reason = "stub")]
pub fn png(_: &str) -> std::io::Result<Vec<u8>> {
    Ok(vec![])
}

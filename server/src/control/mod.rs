//! The control plane: any test, in any language, says over HTTP what goes wrong, and asks what
//! happened.

mod api;
mod guard;
mod metrics;
mod openapi;
mod problem;
mod queries;
mod serve;
mod views;

pub use serve::Control;
pub(crate) use serve::Served;

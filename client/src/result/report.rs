//! A measurement together with what it means: what every report is made of.

use schemars::JsonSchema;
use serde::Serialize;

use super::analysis::Analysis;
use super::measurement::Measurement;

/// A measurement and its analysis. As JSON it is one document: the analysis is one more key, for
/// readers who do not want to compute it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "measurement", rename = "Document")]
pub struct Report {
    /// What was measured.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// What it means; computed from the rest.
    pub analysis: Analysis,
}

impl Report {
    /// Analyses this measurement.
    pub fn of(measurement: Measurement) -> Self {
        Self {
            analysis: Analysis::of(&measurement),
            measurement,
        }
    }
}

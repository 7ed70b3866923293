//! The record of one attempt at a download, with its times. It measures, judges and prints nothing.

use std::time::Duration;

use flag_scenario::{Millis, OptionalMillis};
use flags_data::CountryCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::foreign;

/// One attempt at a download. All times count from the start of its round; in JSON they
/// are milliseconds, and absent values are left out.
///
/// Older documents also have a `queued_ms`, which is always 0: it is accepted, and no longer
/// written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Sample {
    /// What was downloaded.
    #[schemars(with = "String")]
    pub code: CountryCode,
    /// 1 for the first attempt at this code.
    pub attempt: u32,
    /// Which of the workers did it, from 0: its row in a picture of the round.
    pub worker: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// The reason of a failure, as text.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "foreign::optional_line"
    )]
    pub error: Option<String>,
    /// The status of the response, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The bytes of the body that arrived and were complete.
    pub bytes: usize,
    /// When a worker began to send the request; a new connection is part of what follows.
    #[serde(rename = "sent_ms", with = "Millis")]
    pub sent: Duration,
    /// When the head of the response had arrived, if it did.
    #[serde(
        rename = "headers_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub headers: Option<Duration>,
    /// When the body was complete, or the failure known.
    #[serde(rename = "done_ms", with = "Millis")]
    pub done: Duration,
    /// The planned delay that the server reported; none after a redirect, which was held before it
    /// and is reported with it only.
    #[serde(
        rename = "plan_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub plan: Option<Duration>,
    /// The held delay that the server reported.
    #[serde(
        rename = "wait_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub wait: Option<Duration>,
    /// The planned time of a paced or stalling body that the server reported.
    #[serde(
        rename = "body_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub body: Option<Duration>,
    /// How long the server's capacity took, waiting for it included, as the server reported it.
    #[serde(
        rename = "capacity_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub capacity: Option<Duration>,
    /// The rules of the scenario that the server says it applied, if it named any.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "foreign::optional_line"
    )]
    pub rules: Option<String>,
    /// The pause before the next attempt at this code; `None` if this was the last.
    #[serde(
        rename = "retry_in_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub retry_in: Option<Duration>,
}

/// How an attempt ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The flag arrived, complete.
    Downloaded,
    /// 404: there is no such flag; not an error.
    NotFound,
    /// A status other than 200 and 404.
    HttpError,
    /// The time limit passed.
    Timeout,
    /// No connection could be made.
    NoConnection,
    /// The connection broke, or carried something other than HTTP.
    BrokenConnection,
    /// The body is not the flag of the catalogue.
    WrongBody,
    /// The flag arrived and could not be saved.
    NotSaved,
    /// The worker process that was to download it died, or could not be started.
    WorkerDied,
}

impl Outcome {
    /// Whether it counts as an error: everything but a flag and a 404.
    pub fn is_error(self) -> bool {
        !matches!(self, Self::Downloaded | Self::NotFound)
    }
}

impl Sample {
    /// Whether the server said what it plans for this attempt.
    pub fn reports_plan(&self) -> bool {
        self.plan.is_some() || self.rules.is_some()
    }

    /// Whether it ended as the server said: an error has to name the rules that it comes from, and
    /// without a response nothing was said.
    pub fn ended_as_reported(&self) -> bool {
        match self.outcome {
            Outcome::Downloaded | Outcome::NotFound => true,
            Outcome::HttpError => self.rules.is_some(),
            _ => false,
        }
    }

    /// Whether this was the last attempt at its code, which decides how the download ended.
    pub fn is_last(&self) -> bool {
        self.retry_in.is_none()
    }

    /// From sending the request to the end of the response.
    pub fn latency(&self) -> Duration {
        self.done.saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_an_older_document_is_read() {
        let older = r#"{"code": "BR", "attempt": 1, "worker": 0, "outcome": "downloaded",
            "bytes": 1, "queued_ms": 0.0, "sent_ms": 1.0, "done_ms": 3.0}"#;
        let sample: Sample = serde_json::from_str(older).unwrap();
        assert_eq!(sample.latency(), Duration::from_millis(2));
    }
}

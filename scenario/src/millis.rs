//! Durations in documents: JSON numbers of milliseconds, exact to the nanosecond for more than a
//! month. Fields stay [`Duration`]s; these types are how serde and schemars see them:
//!
//! ```
//! use std::time::Duration;
//!
//! use flag_scenario::{Millis, OptionalMillis};
//!
//! #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! struct Times {
//!     #[serde(rename = "delay_ms", with = "Millis")]
//!     delay: Duration,
//!     #[serde(rename = "hold_ms", with = "OptionalMillis")]
//!     hold: Option<Duration>,
//! }
//!
//! let times = Times { delay: Duration::from_micros(1500), hold: None };
//! assert_eq!(serde_json::to_string(&times).unwrap(), r#"{"delay_ms":1.5,"hold_ms":null}"#);
//! ```

use std::time::Duration;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(transparent)]
#[cfg_attr(feature = "schema", schemars(inline))]
pub struct Millis(f64);

/// A number of milliseconds, or null.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(transparent)]
#[cfg_attr(feature = "schema", schemars(inline))]
pub struct OptionalMillis(Option<Millis>);

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(duration.as_nanos() as f64 / 1e6)
    }
}

impl From<Option<Duration>> for OptionalMillis {
    fn from(duration: Option<Duration>) -> Self {
        Self(duration.map(Millis::from))
    }
}

impl Millis {
    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Writes a [`Duration`]: for `#[serde(with = "Millis")]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        Serialize::serialize(&Self::from(*duration), serializer)
    }

    /// Reads a [`Duration`]: for `#[serde(with = "Millis")]`.
    ///
    /// # Errors
    /// When there is no number, or one that is negative or beyond 584 years.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        <Self as Deserialize>::deserialize(deserializer)?.duration()
    }

    fn duration<E: Error>(self) -> Result<Duration, E> {
        let nanos = (self.0 * 1e6).round();
        if (0.0..=u64::MAX as f64).contains(&nanos) {
            Ok(Duration::from_nanos(nanos as u64))
        } else {
            Err(E::custom(format_args!(
                "{} is not a number of milliseconds",
                self.0
            )))
        }
    }
}

impl OptionalMillis {
    /// Writes an optional [`Duration`]: for `#[serde(with = "OptionalMillis")]`.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Serialize::serialize(&Self::from(*duration), serializer)
    }

    /// Reads an optional [`Duration`]: for `#[serde(with = "OptionalMillis")]`.
    ///
    /// # Errors
    /// As [`Millis::deserialize`], except for null.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let Self(millis) = Deserialize::deserialize(deserializer)?;
        millis.map(Millis::duration).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[cfg_attr(feature = "schema", derive(JsonSchema))]
    struct Times {
        /// The delay.
        #[serde(rename = "delay_ms", with = "Millis")]
        delay: Duration,
        /// The hold.
        #[serde(rename = "hold_ms", with = "OptionalMillis")]
        hold: Option<Duration>,
    }

    proptest! {
        #[test]
        fn a_duration_of_up_to_a_month_round_trips_to_the_nanosecond(
            nanos in 0..30 * 86_400 * 1_000_000_000_u64,
            has_hold: bool,
        ) {
            let delay = Duration::from_nanos(nanos);
            let times = Times { delay, hold: has_hold.then_some(delay) };
            let text = serde_json::to_string(&times).unwrap();
            prop_assert_eq!(serde_json::from_str::<Times>(&text).unwrap(), times);
        }
    }

    #[test]
    fn a_negative_or_huge_number_and_a_text_are_errors() {
        for wrong in ["-1", "1e300", "\"1 ms\""] {
            for (delay, hold) in [(wrong, "null"), ("1", wrong)] {
                let text = format!("{{\"delay_ms\":{delay},\"hold_ms\":{hold}}}");
                assert!(serde_json::from_str::<Times>(&text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn the_schema_is_a_number() {
        let schema = schemars::schema_for!(Times);
        let properties = &schema.as_value()["properties"];
        assert_eq!(
            properties,
            &serde_json::json!({
                "delay_ms": { "description": "The delay.", "type": "number", "format": "double" },
                "hold_ms": {
                    "description": "The hold.",
                    "type": ["number", "null"],
                    "format": "double",
                },
            })
        );
    }
}

//! Durations as numbers of milliseconds: exact to the nanosecond for more than a month.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_nanos() as f64 / 1e6)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Duration, D::Error> {
    from_millis(f64::deserialize(deserializer)?)
}

fn from_millis<E: Error>(millis: f64) -> Result<Duration, E> {
    let nanos = (millis * 1e6).round();
    if (0.0..=u64::MAX as f64).contains(&nanos) {
        Ok(Duration::from_nanos(nanos as u64))
    } else {
        Err(E::custom(format_args!(
            "{millis} is not a number of milliseconds"
        )))
    }
}

/// The same for a time that may not exist.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Duration, Serializer, from_millis};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let millis = Option::<f64>::deserialize(deserializer)?;
        millis.map(from_millis).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Serialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Both {
        #[serde(with = "super")]
        time: Duration,
        #[serde(with = "super::optional")]
        some: Option<Duration>,
        #[serde(with = "super::optional")]
        none: Option<Duration>,
    }

    proptest! {
        #[test]
        fn a_duration_of_up_to_a_month_comes_back_to_the_nanosecond(nanos in 0..30 * 86_400 * 1_000_000_000_u64) {
            let time = Duration::from_nanos(nanos);
            let both = Both { time, some: Some(time), none: None };
            let text = serde_json::to_string(&both).unwrap();
            prop_assert_eq!(serde_json::from_str::<Both>(&text).unwrap(), both);
        }
    }

    #[test]
    fn what_is_no_duration_is_an_error() {
        for wrong in ["-1", "1e300", "\"1 ms\""] {
            let text = format!("{{\"time\":{wrong},\"some\":null,\"none\":null}}");
            assert!(serde_json::from_str::<Both>(&text).is_err(), "{wrong}");
        }
    }
}

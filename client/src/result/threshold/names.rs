//! Whether what a threshold names is measured at all: looked at before the measurement begins.

use flags_data::did_you_mean;
use thiserror::Error;

use super::grammar::Threshold;
use super::metric::Metric;
use crate::result::measurement::Measurement;

/// A threshold on something that is not measured: refused before the measurement begins.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotMeasured {
    /// A misspelt series.
    #[error(
        "--threshold '{threshold}': unknown contender {series:?}{hint}; the contenders are {all_series}",
        hint = did_you_mean(series, all_series.split(", "))
    )]
    Series {
        /// What was written.
        threshold: String,
        /// The series that it names.
        series: String,
        /// Those that there are.
        all_series: String,
    },
    /// What the others are compared with has no ratio of its own.
    #[error(
        "--threshold '{threshold}': {series:?} is what the others are compared with; name another contender, or another --reference"
    )]
    RatioOfReference {
        /// What was written.
        threshold: String,
        /// The series that it names.
        series: String,
    },
    /// A metric that a race does not measure.
    #[error(
        "--threshold '{0}': requests, timeouts and unsent are counted by load; take downloads, errors or retries"
    )]
    OfRace(String),
    /// A metric that a load does not measure.
    #[error(
        "--threshold '{0}': for a load, write response, service or lag before p(0) to p(100), min, med, avg or max, and load before \
         throughput, cpu, error_rate, errors, requests, timeouts or unsent"
    )]
    OfLoad(String),
}

/// Whether each names a series of the measurement, or at least one of the known contenders (which
/// has no data then, and fails), and a metric that it has.
///
/// # Errors
/// With the first that does not.
pub fn check_names(
    thresholds: &[Threshold],
    measurement: &Measurement,
    known: &[String],
) -> Result<(), NotMeasured> {
    let all_series = &measurement.series;
    for Threshold {
        series,
        metric,
        text,
        ..
    } in thresholds
    {
        let threshold = text.clone();
        let found = all_series.iter().find(|other| other.name == *series);
        let contender = series.split('@').next().unwrap_or(series);
        if found.is_none() && !known.iter().any(|name| name == contender) {
            let names: Vec<&str> = all_series.iter().map(|other| other.name.as_str()).collect();
            return Err(NotMeasured::Series {
                threshold,
                series: series.clone(),
                all_series: names.join(", "),
            });
        }
        let is_ratio = matches!(
            metric,
            Metric::Ratio | Metric::RatioLower | Metric::RatioUpper
        );
        let is_reference = |found| {
            let reference = measurement.reference(found);
            reference.is_some_and(|reference| reference.name == *series)
        };
        if is_ratio && found.is_some_and(is_reference) {
            return Err(NotMeasured::RatioOfReference {
                threshold,
                series: series.clone(),
            });
        }
        if let Metric::Requests | Metric::Timeouts | Metric::Unsent = metric {
            return Err(NotMeasured::OfRace(threshold));
        }
    }
    Ok(())
}

/// Whether each is about something that a load measures.
///
/// # Errors
/// With the first that is not.
pub fn check_load_metrics(thresholds: &[Threshold]) -> Result<(), NotMeasured> {
    let mut thresholds = thresholds.iter();
    match thresholds.find(|threshold| !threshold.metric.is_of_load(&threshold.series)) {
        None => Ok(()),
        Some(threshold) => Err(NotMeasured::OfLoad(threshold.text.clone())),
    }
}

#[cfg(test)]
mod tests {
    use flag_scenario::ScenarioSource;

    use super::*;
    use crate::download::{Job, Runner, Strategy};
    use crate::race::{Contender, Race, Target};

    /// A measurement of `async` and `threaded`, the first of which is the reference.
    fn measurement() -> Measurement {
        let target = Target::embedded(&ScenarioSource::Profile("local"), None).unwrap();
        let boxed = |strategy: Strategy| Box::new(Runner::from(strategy)) as Box<dyn Contender>;
        let contenders = [Strategy::Async, Strategy::Threaded].map(boxed);
        Race::bench(contenders.into(), Job::new("", Vec::new())).begin(&target, Vec::new())
    }

    #[test]
    fn an_unknown_contender_is_refused_before_the_race() {
        let known = ["async", "sequential"].map(str::to_owned);
        let names = |text: &str| check_names(&[text.parse().unwrap()], &measurement(), &known);
        assert_eq!(names("async.errors == 0"), Ok(()));
        assert_eq!(names("threaded.errors == 0"), Ok(()));
        assert_eq!(
            names("sequential.errors == 0"),
            Ok(()),
            "a known contender that did not race: no data"
        );
        let message = names("asink.errors == 0").unwrap_err().to_string();
        assert_eq!(
            message,
            "--threshold 'asink.errors == 0': unknown contender \"asink\" (did you mean async?); the contenders are async, threaded"
        );
    }

    #[test]
    fn the_reference_has_no_ratio_of_its_own() {
        let names = |text: &str, measurement: &Measurement| {
            check_names(&[text.parse().unwrap()], measurement, &[])
        };
        let mut measurement = measurement();
        assert_eq!(names("threaded.ratio < 1.05", &measurement), Ok(()));
        for metric in ["ratio", "ratio.upper", "ratio.lower"] {
            let message = names(&format!("async.{metric} < 1.05"), &measurement)
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("\"async\" is what the others"),
                "{message}"
            );
        }
        measurement.reference = Some("threaded".to_owned());
        assert_eq!(names("async.ratio < 1.05", &measurement), Ok(()));
        assert!(names("threaded.ratio < 1.05", &measurement).is_err());
    }

    #[test]
    fn a_metric_that_a_load_or_a_race_lacks_is_refused_before_it_starts() {
        let load = |text: &str| check_load_metrics(&[text.parse().unwrap()]);
        for text in [
            "response.p(99.9) < 10ms",
            "service.max < 1s",
            "lag.avg < 1ms",
            "load.throughput > 1000",
            "load.error_rate < 1%",
            "load.cpu < 0.1ms",
            "load.timeouts == 0",
            "load.unsent == 0",
        ] {
            assert_eq!(load(text), Ok(()), "{text}");
        }
        for text in [
            "async.p(99) < 1ms",
            "load.p(99) < 1ms",
            "response.excess.p(99) < 1ms",
            "lag.errors == 0",
            "load.speed_up > 1",
        ] {
            let message = load(text).unwrap_err().to_string();
            let expected = format!("--threshold '{text}': for a load, write response,");
            assert!(message.starts_with(&expected), "{message}");
        }
        let race = check_names(&["async.unsent == 0".parse().unwrap()], &measurement(), &[]);
        let message = race.unwrap_err().to_string();
        assert!(message.contains("counted by load"), "{message}");
    }
}

//! Whether a threshold holds. A metric without data fails its threshold: a build that measured
//! nothing has shown nothing. Nothing here decides an exit code.

use super::grammar::{Operator, Threshold};
use super::metric::{Found, Unit};
use crate::result::load::LoadResult;
use crate::result::report::Report;

/// A threshold and what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What must hold.
    pub threshold: Threshold,
    /// What it was compared with.
    pub found: Found,
}

/// How a threshold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It holds, wherever between its ends the value is.
    Met,
    /// It does not hold, or nobody can know whether it does.
    Missed,
    /// More rounds can show whether it holds.
    Undecided,
    /// Nothing was measured, so nothing was shown.
    NoData,
}

impl Judgement {
    /// Whether a build does not pass with it.
    pub fn fails(self) -> bool {
        matches!(self, Self::Missed | Self::NoData)
    }
}

impl Checked {
    /// How it ended.
    pub fn judgement(&self) -> Judgement {
        let Threshold {
            operator, value, ..
        } = self.threshold;
        let is_estimate = matches!(self.found, Found::Estimate(_));
        let Some((lower, upper)) = self.found.bounds() else {
            return if is_estimate {
                Judgement::Undecided
            } else {
                Judgement::NoData
            };
        };
        let is_met = match operator {
            Operator::NotEqual => value < lower || value > upper,
            _ => operator.holds(lower, value) && operator.holds(upper, value),
        };
        let may_hold = operator.holds(lower, value) || operator.holds(upper, value);
        match (is_met, is_estimate && may_hold) {
            (true, _) => Judgement::Met,
            (false, true) => Judgement::Undecided,
            (false, false) => Judgement::Missed,
        }
    }

    /// What the value is a number of.
    pub fn unit(&self) -> Unit {
        self.threshold.metric.unit()
    }
}

/// Compares each with what was measured.
pub fn check(thresholds: &[Threshold], report: &Report) -> Vec<Checked> {
    let Report {
        measurement,
        analysis,
    } = report;
    let found = |threshold: &Threshold| {
        let mut all_series = analysis.series.iter();
        let series = all_series.find(|series| series.name == threshold.series)?;
        threshold.metric.of(measurement, series)
    };
    let checked = |threshold: &Threshold| Checked {
        threshold: threshold.clone(),
        found: found(threshold).unwrap_or(Found::Nothing),
    };
    thresholds.iter().map(checked).collect()
}

/// Compares each with what a load has measured.
pub fn check_load(thresholds: &[Threshold], result: &LoadResult) -> Vec<Checked> {
    let found = |threshold: &Threshold| {
        let (lower, upper) = threshold.metric.of_load(&threshold.series, result)?;
        Some(Found::Bounds(lower, upper))
    };
    let checked = |threshold: &Threshold| Checked {
        threshold: threshold.clone(),
        found: found(threshold).unwrap_or(Found::Nothing),
    };
    thresholds.iter().map(checked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::estimate::Estimate;
    use crate::result::interval::Interval;

    fn judged(text: &str, found: Found) -> Judgement {
        let threshold = text.parse().unwrap();
        Checked { threshold, found }.judgement()
    }

    #[test]
    fn a_threshold_without_data_is_not_met() {
        for text in [
            "async.errors >= 0",
            "async.p(50) != 3",
            "async.speed_up < 1",
        ] {
            assert_eq!(judged(text, Found::Nothing), Judgement::NoData, "{text}");
        }
    }

    #[test]
    fn each_operator_compares_as_it_says() {
        for (operator, below, equal, above) in [
            ("<", true, false, false),
            ("<=", true, true, false),
            (">", false, false, true),
            (">=", false, true, true),
            ("==", false, true, false),
            ("!=", true, false, true),
        ] {
            let text = format!("async.errors {operator} 2");
            let met = |found| judged(&text, Found::Exact(found)) == Judgement::Met;
            assert_eq!(
                (met(1.0), met(2.0), met(3.0)),
                (below, equal, above),
                "{operator}"
            );
        }
    }

    #[test]
    fn between_bounds_a_threshold_is_met_only_if_it_holds_for_both() {
        let met = |text: &str, lower, upper| {
            let judgement = judged(text, Found::Bounds(lower, upper));
            assert_ne!(judgement, Judgement::Undecided, "more rounds are no remedy");
            judgement == Judgement::Met
        };
        let endless = f64::INFINITY;
        for (operator, below, within, above, endless_within) in [
            ("<", true, false, false, false),
            (">", false, false, true, false),
            ("==", false, false, false, false),
            ("!=", true, false, true, false),
        ] {
            let text = format!("response.p(99) {operator} 100ms");
            let found = (
                met(&text, 10.0, 20.0),
                met(&text, 50.0, 150.0),
                met(&text, 200.0, endless),
                met(&text, 50.0, endless),
            );
            assert_eq!(found, (below, within, above, endless_within), "{operator}");
        }
        assert!(met("response.p(99) > 1s", endless, endless), "a failure");
        assert!(!met("response.p(99) < 1s", endless, endless));
    }

    #[test]
    fn a_ratio_is_undecided_as_long_as_its_interval_holds_the_limit() {
        use Judgement::{Met, Missed, Undecided};

        let with = |confidence| {
            move |lower, upper| {
                let interval = Interval {
                    lower,
                    upper,
                    confidence: Some(confidence),
                };
                Found::Estimate(Estimate {
                    median: f64::midpoint(lower, upper),
                    interval: Some(interval),
                })
            }
        };
        let usual = with(0.95);
        for (operator, below, within, above) in [
            ("<", Met, Undecided, Missed),
            ("<=", Met, Undecided, Missed),
            (">", Missed, Undecided, Met),
            (">=", Missed, Undecided, Met),
        ] {
            let text = format!("new.ratio {operator} 1.05");
            assert_eq!(judged(&text, usual(0.98, 1.02)), below, "{operator}");
            assert_eq!(judged(&text, usual(1.0, 1.1)), within, "{operator}");
            assert_eq!(judged(&text, usual(1.1, 1.2)), above, "{operator}");
        }
        let few = with(0.9375)(1.1, 1.2);
        assert_eq!(judged("new.ratio < 1.05", few), Undecided, "five rounds");
        let none = Found::Estimate(Estimate {
            median: 2.0,
            interval: None,
        });
        assert_eq!(judged("new.ratio < 1.05", none), Undecided, "two rounds");
    }
}

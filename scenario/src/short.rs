//! Scenarios in a few characters: what `--delay` and `--errors` mean.
//!
//! They are written out as the file that they stand for, and read as one, so both have the same
//! decisions.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::wording::words;
use crate::{Distribution, Scenario, parse_duration};

/// A delay: `200ms`, or `100ms..1s` for one drawn from a range, each as likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    least: Duration,
    /// The end of the range, if there is one.
    most: Option<Duration>,
}

/// Failures: `25%` of the requests with status 503, or with another one: `25%:429`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Errors {
    /// From 0 to 100.
    percent: f64,
    status: u16,
}

/// A scenario of these; at least one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShortScenario {
    /// How late responses come.
    pub delay: Option<Delay>,
    /// How many of them are errors. An error comes as late as any other response.
    pub errors: Option<Errors>,
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = match text.split_once("..") {
            Some((least, most)) => (least, Some(most.strip_prefix('=').unwrap_or(most))),
            None => (text, None),
        };
        let least = parse_duration(least)?;
        let most = most.map(parse_duration).transpose()?;
        let built = match most {
            None => Distribution::fixed(least),
            Some(most) => Distribution::uniform(least, most),
        };
        built.map_err(|problem| problem.to_string())?;
        Ok(Self { least, most })
    }
}

impl FromStr for Errors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (share, status) = match text.split_once(':') {
            Some((share, status)) => (share, Some(status)),
            None => (text, None),
        };
        let percent = share.strip_suffix('%').map(str::trim_end);
        let percent = percent.and_then(|number| number.parse().ok());
        let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
        let percent = percent.ok_or("give a share from 0% to 100%, as in 25% or 25%:429")?;
        let status = status.map_or(Some(503), |status| status.parse().ok());
        let status = status.filter(|status| (400..=599).contains(status));
        let status = status.ok_or("give a status of an error behind the colon, from 400 to 599")?;
        Ok(Self { percent, status })
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = words(self.least);
        writeln!(f, "[[rule]]\nname = \"delay\"\nfault = \"latency\"")?;
        match self.most.map(words) {
            None => writeln!(f, "distribution = {{ fixed = \"{least}\" }}"),
            Some(most) => writeln!(
                f,
                "distribution = {{ uniform = {{ lower = \"{least}\", upper = \"{most}\" }} }}"
            ),
        }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percent, status } = self;
        let probability = percent / 100.0;
        writeln!(f, "[[rule]]\nname = \"errors\"\nfault = \"status\"")?;
        writeln!(f, "probability = {probability}\nstatus = {status}")
    }
}

impl ShortScenario {
    /// A scenario of what is there; none of nothing.
    pub fn of(delay: Option<Delay>, errors: Option<Errors>) -> Option<Self> {
        (delay.is_some() || errors.is_some()).then_some(Self { delay, errors })
    }

    /// What it is called: by its rules.
    pub fn name(&self) -> &'static str {
        match (self.errors, self.delay) {
            (Some(_), Some(_)) => "errors-delay",
            (Some(_), None) => "errors",
            (None, _) => "delay",
        }
    }

    /// The text of a file that means the same.
    pub fn toml(&self) -> String {
        let errors = self.errors.iter().map(ToString::to_string);
        let delay = self.delay.iter().map(ToString::to_string);
        errors.chain(delay).collect::<Vec<_>>().join("\n")
    }

    /// The scenario.
    pub fn scenario(&self) -> Scenario {
        Scenario::from_toml(&self.toml()).expect("every value was checked when it was parsed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(delay: &str, errors: &str) -> ShortScenario {
        let delay = (!delay.is_empty()).then(|| delay.parse().unwrap());
        let errors = (!errors.is_empty()).then(|| errors.parse().unwrap());
        ShortScenario::of(delay, errors).unwrap()
    }

    #[test]
    fn each_stands_for_a_rule_of_its_name() {
        for (delay, errors, name, meaning) in [
            (
                "200ms",
                "",
                "delay",
                "delay: all requests: a delay of 200ms\n",
            ),
            (
                "100ms..1s",
                "",
                "delay",
                "delay: all requests: a delay from 100ms to 1s, each as likely\n",
            ),
            (
                "1m 30s",
                "",
                "delay",
                "delay: all requests: a delay of 1m 30s\n",
            ),
            ("0s", "", "delay", "delay: all requests: a delay of 0s\n"),
            (
                "",
                "25%",
                "errors",
                "errors: 25 % of the requests: status 503\n",
            ),
            (
                "",
                "12.5 %:429",
                "errors",
                "errors: 12.5 % of the requests: status 429\n",
            ),
            (
                "",
                "0.1%",
                "errors",
                "errors: 0.1 % of the requests: status 503\n",
            ),
            ("", "100%", "errors", "errors: all requests: status 503\n"),
            (
                "1us..2us",
                "0%:500",
                "errors-delay",
                "errors: none of the requests: status 500\n\
                 delay: all requests: a delay from 1us to 2us, each as likely\n",
            ),
        ] {
            let short = short(delay, errors);
            assert_eq!(short.name(), name);
            assert_eq!(short.scenario().to_string(), meaning, "{delay} {errors}");
        }
        assert_eq!(ShortScenario::of(None, None), None);
    }

    #[test]
    fn the_file_that_it_stands_for_can_be_read_by_people() {
        insta::assert_snapshot!(short("5ms..10ms", "25%").toml(), @r#"
        [[rule]]
        name = "errors"
        fault = "status"
        probability = 0.25
        status = 503

        [[rule]]
        name = "delay"
        fault = "latency"
        distribution = { uniform = { lower = "5ms", upper = "10ms" } }
        "#);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_remedy() {
        let delay = |text: &str| text.parse::<Delay>().unwrap_err();
        let errors = |text: &str| text.parse::<Errors>().unwrap_err();
        let problems = [
            delay("200"),
            delay("1s..100ms"),
            delay("..1s"),
            delay("2h"),
            errors("25"),
            errors("101%"),
            errors("-1%"),
            errors("NaN%"),
            errors("25%:200"),
            errors("25%:"),
        ];
        insta::assert_snapshot!(problems.join("\n"), @r#"
        invalid duration "200": give a duration with its unit, like "250ms" or "1.5s"
        lower (1s) is above upper (100ms): swap them
        give a duration with its unit, like "250ms" or "1.5s"
        2h is more than an hour: check its unit
        give a share from 0% to 100%, as in 25% or 25%:429
        give a share from 0% to 100%, as in 25% or 25%:429
        give a share from 0% to 100%, as in 25% or 25%:429
        give a share from 0% to 100%, as in 25% or 25%:429
        give a status of an error behind the colon, from 400 to 599
        give a status of an error behind the colon, from 400 to 599
        "#);
    }
}

//! What a measurement means, in one or two short sentences: warnings with their remedy, outliers
//! with their cause, and where the lost time went. Every form of report uses the same; what
//! deserves a message is decided in [`result`](crate::result).

use super::format::{percent, plural, short, short_ms, times};
use crate::result::{Cause, Kind, Loss, Outlier, Report, SeriesAnalysis, Warning};

/// The result in one sentence, where there is something to compare: which contender was faster,
/// with the whole interval on one side.
pub fn headline(report: &Report) -> Option<String> {
    let measurement = &report.measurement;
    let analysis = &report.analysis;
    let first = match measurement.kind {
        Kind::Sweep => "with the fewest workers",
        Kind::Get | Kind::Bench => measurement.series.first()?.name.as_str(),
    };
    let timed = analysis.series.iter().skip(1);
    let timed = || {
        timed
            .clone()
            .filter_map(|series| Some((series, series.speed_up?)))
    };
    timed().next()?;
    let faster = timed().filter(|(_, speed_up)| speed_up.lower > 1.0);
    let best = faster.max_by(|a, b| a.1.median.total_cmp(&b.1.median));
    Some(match best {
        Some((series, speed_up)) => {
            let possible = series.efficiency.map_or(String::new(), |share| {
                format!(", {} of what is possible", percent(share))
            });
            let speed_up = times(speed_up.median);
            format!(
                "{} was {speed_up} as fast as {first}{possible}.",
                series.name
            )
        }
        None if measurement.kind == Kind::Sweep => {
            "More workers were not clearly faster.".to_owned()
        }
        None if timed().all(|(_, speed_up)| speed_up.upper < 1.0) => {
            format!("{first} was the fastest.")
        }
        None => format!("Nothing was clearly faster than {first}."),
    })
}

/// The warning and its remedy.
pub fn warning(warning: &Warning) -> String {
    match warning {
        Warning::TooFewRounds { rounds } => format!(
            "The intervals rest on only {rounds} {}. Take more: -r 10.",
            plural(*rounds, "round")
        ),
        Warning::NoisyMachine { series, spread } => format!(
            "{series}: the interval is as wide as {} of the median. Close other programs, or take more rounds: -r 30.",
            percent(*spread)
        ),
        Warning::BusyMachine { load, cores } => format!(
            "The machine was busy already: a load of {load:.1} on {cores} {}. Close other programs and measure again.",
            plural(*cores, "processor")
        ),
        Warning::ClientSaturated { series, busy } => format!(
            "{series}: the client itself kept {busy:.2} processors busy, so this measures the client rather than the waiting. Use fewer \
             workers (-m) or longer delays, and a release build."
        ),
        Warning::ServerNotAsPlanned {
            series,
            outcomes,
            delays,
        } => {
            let mut found = Vec::new();
            if *outcomes > 0 {
                found.push(format!(
                    "{outcomes} {} ended otherwise",
                    plural(*outcomes, "attempt")
                ));
            }
            if *delays > 0 {
                found.push(format!(
                    "{delays} {} reported another delay",
                    plural(*delays, "response")
                ));
            }
            format!(
                "{series}: {} than planned. Ideal and efficiency are of the plan: see the errors, and raise --timeout if it cut delays short.",
                found.join(", and ")
            )
        }
        Warning::ServerLate { series, p99_ms } => format!(
            "{series}: the server held one delay in a hundred {} or more longer than planned. It lacks processor time: close other \
             programs, or run the server on another machine.",
            short_ms(*p99_ms)
        ),
        Warning::NoPlan => "The plan of the server is not known, so there is no ideal time and no efficiency. Leave out --server for \
                            an embedded server."
            .to_owned(),
        Warning::DebugBuild => "This is a debug build: its figures mean little. Measure with cargo run --release."
            .to_owned(),
        Warning::CommandFailed {
            series,
            exit_code,
            rounds,
        } => format!(
            "{series}: the command ended with exit code {exit_code} in {rounds} {}, so its times may be those of a failure. Run it by \
             itself to see what it says.",
            plural(*rounds, "round")
        ),
        Warning::OtherRequests {
            series,
            missing,
            extra,
        } => {
            let mut found = Vec::new();
            if *missing > 0 {
                found.push(format!(
                    "{missing} {} of the job never requested",
                    plural(*missing, "flag")
                ));
            }
            if *extra > 0 {
                found.push(format!("{extra} {} too many", plural(*extra, "download")));
            }
            format!(
                "{series}: {}. It did another job than the rest, so its time cannot be compared: give the command the same flags.",
                found.join(", ")
            )
        }
        Warning::ServerGone => "The server could not be reached any more, and the race ended there. Look at why it ended, and start it again."
            .to_owned(),
        Warning::Interrupted => "It ended early, after fewer rounds than asked for. Every round that is shown was complete.".to_owned(),
    }
}

/// The outlier, how far it was from the median, and its cause.
pub fn outlier(series: &str, outlier: &Outlier) -> String {
    let what = match (outlier.code, outlier.attempt) {
        (Some(code), Some(attempt)) if attempt > 1 => format!("{code} (attempt {attempt})"),
        (Some(code), _) => code.to_string(),
        (None, _) => "the whole round".to_owned(),
    };
    let than = if outlier.code.is_some() {
        "planned"
    } else {
        "the median"
    };
    format!(
        "{series}, round {}: {what} took {} more than {than}: {}.",
        outlier.round,
        short(outlier.excess),
        cause(outlier.cause)
    )
}

/// The cause of an outlier, as the end of a sentence.
pub fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::FirstConnection => "the worker's first request, which makes its connection",
        Cause::Retry => "a retry, which may need a new connection",
        Cause::Error => "it ended in an error",
        Cause::FirstRound => "the first measured round; one more for warming up may help: -w 2",
        Cause::Server => "the server held its delay longer than planned",
        Cause::Capacity => "the server's capacity: it was served slowly or waited its turn",
        Cause::Unknown => "the cause is not known; if it comes again, look for other programs",
    }
}

/// Where the time beyond the ideal went, the largest share first; none if the plan is not known.
pub fn loss(series: &str, numbers: &SeriesAnalysis) -> Option<String> {
    let Loss {
        total_ms,
        server_ms,
        waiting_ms,
        transfer_ms,
        client_ms,
        startup_ms,
        order_ms,
    } = numbers.loss?;
    let own = match startup_ms {
        Some(before) => format!(
            "to the program's own work, of which {} before its first request",
            short_ms(before)
        ),
        None => "to the client's own work between downloads".to_owned(),
    };
    let mut parts = [
        (waiting_ms, "to connecting, sending and being answered"),
        (server_ms, "to delays that the server held too long"),
        (transfer_ms, "to the bodies"),
        (client_ms, &own),
        (order_ms, "to downloads shared out otherwise than ideally"),
    ];
    parts.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    // Parts below 2 % of the whole and below ten microseconds are not listed.
    let least = (total_ms.abs() / 50.0).max(0.01);
    let largest: Vec<String> = parts
        .iter()
        .filter(|(part, _)| part.abs() >= least)
        .map(|(part, name)| format!("{} {name}", short_ms(*part)))
        .collect();
    let total = short_ms(total_ms.abs());
    let total = if total_ms < 0.0 {
        format!("{series} was {total} below the ideal")
    } else {
        format!("{series} lost {total} against the ideal")
    };
    Some(if largest.is_empty() {
        format!("{total}.")
    } else {
        format!("{total}: {}.", largest.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_warning_names_the_contender_and_the_remedy() {
        let series = || "async".to_owned();
        let warnings = [
            Warning::TooFewRounds { rounds: 1 },
            Warning::NoisyMachine {
                series: series(),
                spread: 0.123,
            },
            Warning::BusyMachine {
                load: 3.17,
                cores: 2,
            },
            Warning::ClientSaturated {
                series: series(),
                busy: 0.97,
            },
            Warning::ServerNotAsPlanned {
                series: series(),
                outcomes: 1,
                delays: 2,
            },
            Warning::ServerLate {
                series: series(),
                p99_ms: 2.5,
            },
            Warning::NoPlan,
            Warning::DebugBuild,
            Warning::CommandFailed {
                series: series(),
                exit_code: 2,
                rounds: 5,
            },
            Warning::OtherRequests {
                series: series(),
                missing: 0,
                extra: 1,
            },
            Warning::ServerGone,
            Warning::Interrupted,
        ];
        let texts: Vec<String> = warnings.iter().map(warning).collect();
        insta::assert_snapshot!(texts.join("\n"));
    }

    #[test]
    fn an_outlier_names_its_size_and_its_cause() {
        let of = |code: Option<&str>, attempt, cause| Outlier {
            round: 3,
            code: code.map(|code| code.parse().unwrap()),
            attempt,
            excess: Duration::from_micros(12_340),
            cause,
        };
        let texts = [
            outlier("async", &of(Some("BR"), Some(1), Cause::FirstConnection)),
            outlier("threaded", &of(Some("JP"), Some(2), Cause::Retry)),
            outlier("sequential", &of(None, None, Cause::FirstRound)),
        ];
        insta::assert_snapshot!(texts.join("\n"), @r"
        async, round 3: BR took 12.3 ms more than planned: the worker's first request, which makes its connection.
        threaded, round 3: JP (attempt 2) took 12.3 ms more than planned: a retry, which may need a new connection.
        sequential, round 3: the whole round took 12.3 ms more than the median: the first measured round; one more for warming up may help: -w 2.
        ");
    }
}

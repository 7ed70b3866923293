//! What a measurement means, in one or two short sentences: warnings with their remedy, outliers
//! with their cause, and where the lost time went. Every form of report uses the same; what
//! deserves a message is decided in [`result`](crate::result).

use std::time::Duration;

use super::format::{percent, plural, short, short_ms, speed_up, times};
use crate::result::compare::{FEWEST_ROUNDS, FEWEST_RUNS};
use crate::result::interval::FEWEST;
use crate::result::{
    Analysis, Cause, Comparison, Kind, Loss, Outlier, Ranking, Report, SeriesAnalysis, Warning,
};

/// The result in one sentence, where there is something to compare: who won, if anybody did.
pub fn headline(report: &Report) -> Option<String> {
    let analysis = &report.analysis;
    // Of a race that ended before everybody had a round, the warnings say why.
    let has_begun = |series: &SeriesAnalysis| series.elapsed_ms.is_some();
    if analysis.series.len() < 2 || !analysis.series.iter().all(has_begun) {
        return None;
    }
    let of = |name: &String| analysis.series.iter().find(|series| series.name == *name);
    Some(match &analysis.ranking {
        Ranking::NothingToCompare => {
            let mut ranked = analysis.series.iter().filter(|series| series.ranked);
            match ranked.next() {
                Some(only) => format!(
                    "Only {} did the whole job, so there is nothing to compare.",
                    only.name
                ),
                None => "Nobody did the whole job, so there is nothing to compare.".to_owned(),
            }
        }
        Ranking::TooFewRounds { rounds } => format!(
            "{rounds} {} {} too few to name a winner: take {FEWEST} or more.",
            plural(*rounds, "round"),
            if *rounds == 1 { "is" } else { "are" },
        ),
        Ranking::Winner { name } => {
            let compared = of(name).and_then(|series| compared(report, series));
            match compared {
                Some(compared) => format!("{name} was the fastest: {compared}."),
                None => format!("{name} was the fastest."),
            }
        }
        Ranking::NoDifference { names } => {
            let no_difference = format!("No difference was found between {}", listed(names));
            let best = names.first().and_then(of);
            match best.and_then(|best| Some((best, compared(report, best)?))) {
                Some((best, compared)) if !names.iter().any(|name| is_reference(report, name)) => {
                    format!("{no_difference}; {} was {compared}.", best.name)
                }
                _ => format!("{no_difference}."),
            }
        }
    })
}

/// How many times as fast as the first it was, with its interval, and how close to the ideal.
fn compared(report: &Report, series: &SeriesAnalysis) -> Option<String> {
    if is_reference(report, &series.name) {
        return None;
    }
    let first = match report.measurement.kind {
        Kind::Sweep => "with the fewest workers",
        Kind::Get | Kind::Bench => report.measurement.series.first()?.name.as_str(),
    };
    let speed_up = speed_up(series.speed_up?);
    let of_ideal = series.efficiency.map_or(String::new(), |share| {
        format!(", {} of the ideal in this order", percent(share))
    });
    Some(format!("{speed_up} as fast as {first}{of_ideal}"))
}

/// Whether the others are compared with this one.
fn is_reference(report: &Report, name: &str) -> bool {
    let measurement = &report.measurement;
    let mut all_series = measurement.series.iter();
    let reference = (all_series.find(|series| series.name == name))
        .and_then(|series| measurement.reference(series));
    reference.is_some_and(|reference| reference.name == name)
}

/// `a`, `a and b`, `a, b and c`.
fn listed(names: &[String]) -> String {
    flag_scenario::wording::listed(names.iter().cloned(), "and")
}

/// How to read a comparison.
pub fn about_comparison(comparison: &Comparison) -> String {
    let margin = percent(comparison.margin);
    let mut text = match comparison.runs {
        [1, 1] => {
            let all_series = comparison.series.iter();
            let changes = all_series.filter_map(|series| series.least_change);
            let shown = match changes.max_by(f64::total_cmp) {
                Some(least) => format!(
                    "they could have shown a slowdown of {} or more",
                    percent(least)
                ),
                None => format!("with fewer than {FEWEST_ROUNDS} rounds a side they show nothing"),
            };
            format!(
                "These are two single runs: {shown}. For a verdict about two programs, race both in \
                 one run, or compare {FEWEST_RUNS} runs a side or more.\n"
            )
        }
        [old, new] if old.min(new) < FEWEST_RUNS => format!(
            "{old} older and {new} newer results: {FEWEST_RUNS} a side are needed for a verdict.\n"
        ),
        _ => String::new(),
    };
    text +=
        &format!("same: the interval lies within {margin}; inconclusive: it lies across that\n");
    text
}

/// What a reader should know first: each cause once, with all series that it is about.
pub fn warnings(all: &[Warning]) -> Vec<String> {
    let mut merged: Vec<(Warning, Vec<String>)> = Vec::new();
    for warning in all {
        let name = warning.series().map(str::to_owned);
        let both = |(first, _): &(Warning, _)| first.merged(warning);
        let place = merged.iter().position(|entry| both(entry).is_some());
        match place {
            Some(place) => {
                let (first, names) = &mut merged[place];
                *first = first.merged(warning).unwrap_or_else(|| first.clone());
                names.extend(name);
            }
            None => merged.push((warning.clone(), name.into_iter().collect())),
        }
    }
    let text = |(warning, names): &(Warning, Vec<String>)| self::warning(warning, &listed(names));
    merged.iter().map(text).collect()
}

/// The warning, and what helps; `series` are those that it is about.
fn warning(warning: &Warning, series: &str) -> String {
    match warning {
        Warning::TooFewRounds { rounds } => format!(
            "{rounds} {} {} too few for intervals of 95 %. Take more: -r {FEWEST}.",
            plural(*rounds, "round"),
            if *rounds == 1 { "is" } else { "are" },
        ),
        Warning::NoisyMachine { spread, .. } => format!(
            "{series}: the interval is as wide as {} of the median. Close other programs, or take more rounds: -r 30.",
            percent(*spread)
        ),
        Warning::DependentRounds { .. } => format!(
            "{series}: the rounds depend on each other, as on a machine that drifts, so the intervals of the times are of this run only. \
             Speed-ups are paired by round and hold."
        ),
        Warning::PairedOtherwise { speed_up, ratio, .. } => format!(
            "{series}: paired by round it was {} as fast, by the medians alone {}. The machine changed between rounds: trust the pairs.",
            times(*speed_up),
            times(*ratio)
        ),
        Warning::NotRanked {
            unplanned, wanted, ..
        } => format!(
            "{series}: {unplanned} of {wanted} downloads are missing, wrong, or failed against the plan. It did not do the whole job, so \
             it has no rank, no speed-up and no efficiency."
        ),
        Warning::BusyMachine { load, cores } => format!(
            "The machine was busy already: a load of {load:.1} on {cores} {}. Close other programs and measure again.",
            plural(*cores, "processor")
        ),
        Warning::ClientSaturated { busy, .. } => format!(
            "{series}: the client itself kept {busy:.2} processors busy, so this measures the client rather than the waiting. Use fewer \
             workers (-m) or longer delays, and a release build."
        ),
        Warning::ServerNotAsPlanned {
            outcomes, delays, ..
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
        Warning::ServerLate { p99_ms, .. } => format!(
            "{series}: the server held one delay in a hundred {} or more longer than planned. It lacks processor time: close other \
             programs, or run the server on another machine.",
            short_ms(*p99_ms)
        ),
        Warning::NoPlan => "no ideal: the server does not report what it plans. Leave out --server for an embedded server, or name a \
                            flag-server."
            .to_owned(),
        Warning::NoIdeal { reason, .. } => format!("{series}: no ideal: {reason}."),
        Warning::DebugBuild => "This is a debug build: its figures mean little. Measure with cargo run --release."
            .to_owned(),
        Warning::CommandFailed {
            exit_code, rounds, ..
        } => format!(
            "{series}: the command ended with exit code {exit_code} in {rounds} {}, so its times may be those of a failure. Run it by \
             itself to see what it says.",
            plural(*rounds, "round")
        ),
        Warning::OtherRequests { missing, extra, .. } => {
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

/// How much of the bound an ideal time has to be beyond it for another order to be worth a word.
const WORTH: f64 = 0.01;

/// What nobody can beat in whatever order, where that is not the ideal of the job's order: once for
/// all series that it is the same for.
pub fn possible(analysis: &Analysis) -> Vec<String> {
    let mut merged: Vec<(Duration, Option<Duration>, Vec<String>)> = Vec::new();
    for series in &analysis.series {
        let Some(bound) = series.bound else { continue };
        let is_near = |ideal: Duration| ideal.as_secs_f64() <= (1.0 + WORTH) * bound.as_secs_f64();
        if series.ideal.is_some_and(is_near) {
            continue;
        }
        let same = merged
            .iter_mut()
            .find(|(other, ideal, _)| (*other, *ideal) == (bound, series.ideal));
        match same {
            Some((.., names)) => names.push(series.name.clone()),
            None => merged.push((bound, series.ideal, vec![series.name.clone()])),
        }
    }
    if !analysis.scaling.is_empty() {
        // Of the many numbers of workers of a sweep, the one where the order costs most.
        let cost = |entry: &(Duration, Option<Duration>, Vec<String>)| {
            let ideal = entry.1.unwrap_or(entry.0);
            ideal.as_secs_f64() / entry.0.as_secs_f64()
        };
        let most = merged
            .into_iter()
            .max_by(|a, b| cost(a).total_cmp(&cost(b)));
        merged = most.into_iter().collect();
    }
    let text = |(bound, ideal, names): &(Duration, Option<Duration>, Vec<String>)| {
        let (names, bound) = (listed(names), short(*bound));
        match ideal {
            Some(ideal) => format!(
                "{names}: {} is the ideal in this order; in another order less may be possible, but not less than {bound}.",
                short(*ideal)
            ),
            None => format!("{names}: less than {bound} is not possible in any order."),
        }
    };
    merged.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
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
            Warning::DependentRounds { series: series() },
            Warning::DependentRounds {
                series: "threaded".to_owned(),
            },
            Warning::PairedOtherwise {
                series: series(),
                speed_up: 1.3,
                ratio: 0.9,
            },
            Warning::NotRanked {
                series: series(),
                unplanned: 19,
                wanted: 20,
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
            Warning::NoIdeal {
                series: series(),
                reason: "the rule outage has a time window".to_owned(),
            },
            Warning::NoIdeal {
                series: "threaded".to_owned(),
                reason: "the rule outage has a time window".to_owned(),
            },
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
        insta::assert_snapshot!(super::warnings(&warnings).join("\n"));
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

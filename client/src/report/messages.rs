//! What a measurement means, in one or two short sentences: warnings with their remedy, outliers
//! with their cause, and where the lost time went. Every form of report uses the same; what
//! deserves a message is decided in [`result`](crate::result).

use std::time::Duration;

use super::format::{percent, plural, short, short_ms, speed_up, times, whole_and_parts};
use crate::result::compare::{FEWEST_ROUNDS, FEWEST_RUNS};
use crate::result::interval::FEWEST;
use crate::result::{
    Analysis, Cause, Comparison, FEWEST_LEVELS, Kind, Loss, MANY_WORKERS, Missing, Neighbourhood,
    Outlier, Ranking, Report, Scaling, Series, SeriesAnalysis, UnaskedRequests, Warning,
};

/// The result in one sentence, where there is something to compare: who won, if anybody did.
pub fn headline(report: &Report) -> Option<String> {
    let analysis = &report.analysis;
    // Of a race that ended before everybody had a round, the warnings say why.
    let has_begun = |series: &SeriesAnalysis| series.elapsed_ms.is_some() || series.timed_out;
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

/// How many times as fast as its reference it was, with its interval, and how close to the ideal.
fn compared(report: &Report, series: &SeriesAnalysis) -> Option<String> {
    if is_reference(report, &series.name) {
        return None;
    }
    let reference = match report.measurement.kind {
        Kind::Sweep => "with the fewest workers",
        Kind::Get | Kind::Bench => reference(report, &series.name)?.name.as_str(),
    };
    let speed_up = speed_up(series.speed_up?);
    let of_ideal = series.efficiency.map_or(String::new(), |share| {
        format!(", {} of the ideal in this order", percent(share))
    });
    Some(format!("{speed_up} as fast as {reference}{of_ideal}"))
}

/// What the series of this name is compared with.
fn reference<'r>(report: &'r Report, name: &str) -> Option<&'r Series> {
    let measurement = &report.measurement;
    let series = measurement.series.iter().find(|series| series.name == name);
    measurement.reference(series?)
}

/// Whether the others are compared with this one.
fn is_reference(report: &Report, name: &str) -> bool {
    reference(report, name).is_some_and(|reference| reference.name == name)
}

/// What else the machine did.
pub(super) fn busy_machine(neighbours: Neighbourhood) -> String {
    let Neighbourhood {
        others,
        stolen,
        processors,
    } = neighbours;
    let stolen = if stolen < 0.01 {
        String::new()
    } else {
        format!(", and the host of this virtual machine took {stolen:.2}")
    };
    format!(
        "The machine was busy: other programs used {others:.2} of {processors} {} on average{stolen}. Close them and measure again.",
        plural(processors, "processor")
    )
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

/// Each cause once, with all series that it is about.
fn merged<'w>(all: impl IntoIterator<Item = &'w Warning>) -> Vec<(Warning, Vec<String>)> {
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
    merged
}

/// What a reader should know first: each cause once, with all series that it is about.
pub fn warnings<'w>(all: impl IntoIterator<Item = &'w Warning>) -> Vec<String> {
    let text = |(warning, names): (Warning, Vec<String>)| self::warning(&warning, &listed(&names));
    merged(all).into_iter().map(text).collect()
}

/// The same for a reader who wants the result: what disturbs the times is one cause, with one
/// remedy, whatever shows it and in whichever series.
pub fn brief_warnings(all: &[Warning]) -> Vec<String> {
    let (disturbed, others): (Vec<&Warning>, Vec<&Warning>) = all
        .iter()
        .partition(|warning| disturbance(warning).is_some());
    let mut signs: Vec<String> = Vec::new();
    for (warning, _) in merged(disturbed) {
        let sign = disturbance(&warning).filter(|sign| !signs.contains(sign));
        signs.extend(sign);
    }
    if signs.len() < 2 {
        return warnings(all);
    }
    let signs = flag_scenario::wording::listed(signs, "and");
    let mut texts = warnings(others);
    texts.push(format!(
        "The times were disturbed: {signs}. Their intervals are of this run; speed-ups hold. Close other programs and measure again."
    ));
    texts
}

/// How a disturbance of the times shows, for warnings that are about one.
fn disturbance(warning: &Warning) -> Option<String> {
    Some(match warning {
        Warning::BusyMachine { neighbours } => format!(
            "others on {:.2} of {} {}",
            neighbours.others + neighbours.stolen,
            neighbours.processors,
            plural(neighbours.processors, "processor")
        ),
        Warning::NoisyMachine { spread, .. } => {
            format!("intervals as wide as {} of the median", percent(*spread))
        }
        Warning::DependentRounds { .. } => "rounds that depend on each other".to_owned(),
        Warning::PairedOtherwise { .. } => "speed-ups unlike the ratios of the medians".to_owned(),
        Warning::ServerLate { p99_ms, .. } => {
            format!("one delay in a hundred {} late", short_ms(*p99_ms))
        }
        _ => return None,
    })
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
        Warning::BusyMachine { neighbours } => busy_machine(*neighbours),
        Warning::ClientSaturated { busy, .. } => format!(
            "{series}: the client kept {busy:.2} processors busy, so this measures the client. Use fewer workers (-m) or longer delays."
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
        Warning::BelowPlan { most_ms, .. } => format!(
            "{series}: attempts were quicker than planned, by up to {}. The server does not follow the plan, so ideal, efficiency and excess \
             mean little: check that its scenario and its seed are those of the plan.",
            short_ms(*most_ms)
        ),
        Warning::ServerLate { p99_ms, .. } => format!(
            "{series}: the server held one delay in a hundred {} or more longer than planned. It lacks processor time: close other \
             programs, or run the server on another machine.",
            short_ms(*p99_ms)
        ),
        Warning::NoPlan => "no ideal: the server does not report what it plans. Leave out --server for an embedded server, or name a \
                            flag-server."
            .to_owned(),
        Warning::NoIdeal { reason, .. } => format!("{series}: no ideal: {reason}."),
        Warning::DebugBuild => "Debug build: its figures mean little. Measure with cargo run --release.".to_owned(),
        Warning::CommandFailed {
            exit_code, rounds, ..
        } => format!(
            "{series}: the command ended with exit code {exit_code} in {rounds} {}, so its times may be those of a failure. Run it by \
             itself to see what it says.",
            plural(*rounds, "round")
        ),
        Warning::CommandTimedOut {
            limit_ms, rounds, ..
        } => {
            let before = match rounds {
                0 => String::new(),
                rounds => format!(" after {rounds} complete {}", plural(*rounds, "round")),
            };
            format!(
                "{series}: the command had not ended{before} when its time limit of {} was over. It was ended with all that it had \
                 started, runs no more, and has no rank. Give it longer with --command-timeout.",
                short_ms(*limit_ms)
            )
        }
        Warning::OtherRequests {
            flags,
            in_one_round,
            ..
        } => other_requests(series, *flags, in_one_round),
        Warning::ServerGone => "The server could not be reached any more, and the race ended there. Look at why it ended, and start it again."
            .to_owned(),
        Warning::Interrupted => "It ended early, after fewer rounds than asked for. Every round that is shown was complete.".to_owned(),
    }
}

/// The requests of a command that are not those of the job.
fn other_requests(series: &str, flags: usize, found: &UnaskedRequests) -> String {
    let UnaskedRequests {
        missing,
        repeated,
        foreign,
        head,
        other,
        unrecorded,
        own_run,
    } = *found;
    let counts = [
        (repeated, "flag", " downloaded again"),
        (foreign, "flag", " that the job does not have"),
        (head, "HEAD request", ""),
        (other, "request", " for something else"),
        (unrecorded, "request", " without a record"),
        (own_run, "request", " with a flag-run of its own"),
    ];
    let mut texts = Vec::new();
    if missing > 0 {
        texts.push(format!(
            "{missing} of {flags} {} never requested",
            plural(flags, "flag")
        ));
    }
    for (count, noun, which) in counts {
        if count > 0 {
            texts.push(format!("{count} {}{which}", plural(count, noun)));
        }
    }
    let remedy = if own_run > 0 {
        "Without flag-run it meets the same delays and faults as the rest."
    } else {
        "Its time is that of another job than the rest's."
    };
    format!("{series}, in one round: {}. {remedy}", texts.join(", "))
}

/// How long each command took to start, and from there on.
pub fn startups(analysis: &Analysis) -> Vec<String> {
    let of = |series: &SeriesAnalysis| {
        let (startup, rest) = series.startup_ms.zip(series.from_first_request_ms)?;
        Some(format!(
            "{} sent its first request after {}, and took {} from there on.",
            series.name,
            short_ms(startup),
            short_ms(rest.median)
        ))
    };
    analysis.series.iter().filter_map(of).collect()
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

/// Where the time beyond the ideal went in the median round, the largest part first; none if the
/// plan is not known.
pub fn loss(series: &str, numbers: &SeriesAnalysis) -> Option<String> {
    numbers.loss.map(|loss| lost(series, loss))
}

fn lost(series: &str, loss: Loss) -> String {
    let Loss {
        round,
        total_ms,
        server_ms,
        waiting_ms,
        transfer_ms,
        client_ms,
        startup_ms,
        other_requests_ms,
        order_ms,
        unexplained_ms,
    } = loss;
    let which = format!("the ideal in round {round}, its median");
    if total_ms < 0.0 {
        let total = short_ms(-total_ms);
        return format!("{series} was {total} below {which}: nothing was lost.");
    }
    let own = match startup_ms {
        Some(before) => format!(
            "to the program's own work, of which {} before its first request",
            short_ms(before)
        ),
        None => "to the client's own work between downloads".to_owned(),
    };
    let mut parts = [
        (
            other_requests_ms.unwrap_or_default(),
            "to requests that are not of the job",
        ),
        (waiting_ms, "to connecting, sending and being answered"),
        (server_ms, "to delays that the server held too long"),
        (transfer_ms, "to the bodies"),
        (client_ms, &own),
        (order_ms, "to a worker that had more to do than ideally"),
        (unexplained_ms, "unexplained"),
    ];
    parts[..5].sort_by(|a, b| b.0.total_cmp(&a.0));
    let (total, shown) = whole_and_parts(&parts.map(|(part, _)| part));
    let named = parts.iter().zip(shown);
    let named: Vec<String> = named
        .filter_map(|((_, name), shown)| Some(format!("{} {name}", shown?)))
        .collect();
    let total = format!("{series} lost {total} against {which}");
    if named.is_empty() {
        format!("{total}.")
    } else {
        format!("{total}: {}.", named.join(", "))
    }
}

/// How the contenders of a sweep scale, a sentence or two each; those for which the same is missing
/// share one. With a single number of workers there is nothing to say.
pub fn scaling(all: &[Scaling]) -> Vec<String> {
    let all: Vec<&Scaling> = (all.iter())
        .filter(|scaling| scaling.points.len() > 1)
        .collect();
    let mut texts: Vec<String> = all.iter().map(|scaling| knee(scaling)).collect();
    texts.extend(all.iter().filter_map(|scaling| growth(scaling)));
    let mut lacking: Vec<(&[Missing], Vec<String>)> = Vec::new();
    for scaling in all.iter().filter(|scaling| !scaling.usl_missing.is_empty()) {
        let name = scaling.contender.clone();
        match lacking
            .iter_mut()
            .find(|(missing, _)| *missing == scaling.usl_missing)
        {
            Some((_, names)) => names.push(name),
            None => lacking.push((&scaling.usl_missing, vec![name])),
        }
    }
    texts.extend(lacking.iter().map(|(missing, names)| {
        let needed = missing.iter().map(|missing| needed(*missing));
        let needed = flag_scenario::wording::listed(needed, "and");
        format!(
            "{}: the time lost that grows with the workers is not known. That takes {needed}.",
            listed(names)
        )
    }));
    texts
}

fn knee(scaling: &Scaling) -> String {
    let name = &scaling.contender;
    match (scaling.knee, scaling.points.last()) {
        (Some(knee), _) => format!(
            "{name}: the knee is at {knee:.1} workers: with perfect scaling, that many would suffice."
        ),
        (None, last) => format!(
            "{name}: no knee, it scales almost in proportion up to {} workers.",
            last.map_or(0, |point| point.workers)
        ),
    }
}

/// The time lost that grows with the workers.
fn growth(scaling: &Scaling) -> Option<String> {
    let law = scaling.usl?;
    let of = |name: &str, value: f64, lower: f64, upper: f64| {
        if lower <= 0.0 && 0.0 <= upper {
            format!("{name} below {}", coefficient(upper))
        } else {
            let [value, lower, upper] = [value, lower, upper].map(coefficient);
            format!("{name} {value} ({lower} to {upper})")
        }
    };
    let peak = scaling.peak.map_or(String::new(), |peak| {
        format!(
            "; a job that can be shared out perfectly would be the fastest with {peak:.0} workers"
        )
    });
    Some(format!(
        "{}: time lost that grows with the workers (connecting included): {}, {}{peak}.",
        scaling.contender,
        of("σ", law.sigma, law.sigma_lower, law.sigma_upper),
        of("κ", law.kappa, law.kappa_lower, law.kappa_upper),
    ))
}

/// Two digits, without an exponent: `0.0012`.
fn coefficient(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    let size = value.abs();
    let digits = if size > 0.0 {
        (1.0 - size.log10().floor()).clamp(0.0, 12.0) as usize
    } else {
        0
    };
    format!("{sign}{size:.digits$}")
}

fn needed(missing: Missing) -> String {
    match missing {
        Missing::Rounds => format!("{FEWEST} rounds (-r {FEWEST})"),
        Missing::Levels => format!(
            "{FEWEST_LEVELS} numbers of workers with 1 and one of {MANY_WORKERS} or more (-m 1,2,4,8,16)"
        ),
        Missing::Ideal => "an ideal at each number of workers".to_owned(),
        Missing::WholeJob => "rounds without unplanned errors".to_owned(),
    }
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
    use crate::result::{ScalingPoint, Usl};

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
                neighbours: Neighbourhood {
                    others: 0.317,
                    stolen: 0.02,
                    processors: 2,
                },
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
            Warning::BelowPlan {
                series: series(),
                most_ms: 12.3,
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
            Warning::CommandTimedOut {
                series: series(),
                limit_ms: 60_000.0,
                rounds: 2,
            },
            Warning::OtherRequests {
                series: series(),
                missing: 30,
                extra: 9,
                flags: 20,
                in_one_round: UnaskedRequests {
                    missing: 15,
                    repeated: 2,
                    foreign: 1,
                    head: 20,
                    other: 3,
                    unrecorded: 4,
                    own_run: 0,
                },
            },
            Warning::OtherRequests {
                series: series(),
                missing: 0,
                extra: 0,
                flags: 20,
                in_one_round: UnaskedRequests {
                    own_run: 20,
                    ..UnaskedRequests::default()
                },
            },
            Warning::ServerGone,
            Warning::Interrupted,
        ];
        insta::assert_snapshot!(super::warnings(&warnings).join("\n"));
    }

    fn scaling_of(contender: &str, usl: Option<Usl>, usl_missing: &[Missing]) -> Scaling {
        let point = |workers| ScalingPoint {
            workers,
            throughput: 10.0 * workers as f64,
            ideal_throughput: None,
            fitted_throughput: None,
        };
        Scaling {
            contender: contender.to_owned(),
            points: vec![point(1), point(16)],
            peak: None,
            knee: None,
            usl,
            usl_missing: usl_missing.to_vec(),
        }
    }

    #[test]
    fn what_grows_with_the_workers_is_named_only_where_it_is_known() {
        let law = Usl {
            lambda: 10.0,
            sigma: 0.0016,
            sigma_lower: 0.001_04,
            sigma_upper: 0.002_1,
            kappa: 0.000_01,
            kappa_lower: -0.000_02,
            kappa_upper: 0.000_034,
            r_squared: 0.99,
        };
        let with_peak = Scaling {
            knee: Some(11.74),
            peak: Some(31.6),
            ..scaling_of(
                "threaded",
                Some(Usl {
                    kappa_lower: 0.000_004,
                    ..law
                }),
                &[],
            )
        };
        let all = [
            scaling_of("async", Some(law), &[]),
            with_peak,
            scaling_of("processes", None, &[Missing::Rounds, Missing::Levels]),
            scaling_of("custom", None, &[Missing::Rounds, Missing::Levels]),
            scaling_of("other", None, &[Missing::Ideal, Missing::WholeJob]),
        ];
        insta::assert_snapshot!(scaling(&all).join("\n"), @r"
        async: no knee, it scales almost in proportion up to 16 workers.
        threaded: the knee is at 11.7 workers: with perfect scaling, that many would suffice.
        processes: no knee, it scales almost in proportion up to 16 workers.
        custom: no knee, it scales almost in proportion up to 16 workers.
        other: no knee, it scales almost in proportion up to 16 workers.
        async: time lost that grows with the workers (connecting included): σ 0.0016 (0.0010 to 0.0021), κ below 0.000034.
        threaded: time lost that grows with the workers (connecting included): σ 0.0016 (0.0010 to 0.0021), κ 0.000010 (0.0000040 to 0.000034); a job that can be shared out perfectly would be the fastest with 32 workers.
        processes and custom: the time lost that grows with the workers is not known. That takes 6 rounds (-r 6) and 5 numbers of workers with 1 and one of 16 or more (-m 1,2,4,8,16).
        other: the time lost that grows with the workers is not known. That takes an ideal at each number of workers and rounds without unplanned errors.
        ");
    }

    #[test]
    fn the_parts_of_a_loss_add_up_as_they_are_written() {
        let known = Loss {
            round: 4,
            total_ms: 25.2,
            waiting_ms: 7.46,
            server_ms: 2.43,
            client_ms: 11.02,
            unexplained_ms: 4.29,
            ..Loss::default()
        };
        let command = Loss {
            startup_ms: Some(10.5),
            ..known
        };
        let quicker = Loss {
            round: 1,
            total_ms: -1.3,
            ..Loss::default()
        };
        let texts = [
            lost("async", known),
            lost("flags.py", command),
            lost("threaded", quicker),
        ];
        insta::assert_snapshot!(texts.join("\n"), @r"
        async lost 25.2 ms against the ideal in round 4, its median: 11.0 ms to the client's own work between downloads, 7.5 ms to connecting, sending and being answered, 2.4 ms to delays that the server held too long, 4.3 ms unexplained.
        flags.py lost 25.2 ms against the ideal in round 4, its median: 11.0 ms to the program's own work, of which 10.5 ms before its first request, 7.5 ms to connecting, sending and being answered, 2.4 ms to delays that the server held too long, 4.3 ms unexplained.
        threaded was 1.3 ms below the ideal in round 1, its median: nothing was lost.
        ");
    }

    #[test]
    fn all_that_can_happen_to_a_race_has_seven_lines_of_a_terminal() {
        let of = |series: &str| {
            let series = series.to_owned();
            [
                Warning::NoisyMachine {
                    series: series.clone(),
                    spread: 0.123,
                },
                Warning::DependentRounds {
                    series: series.clone(),
                },
                Warning::PairedOtherwise {
                    series: series.clone(),
                    speed_up: 11.3,
                    ratio: 10.9,
                },
                Warning::ClientSaturated {
                    series: series.clone(),
                    busy: 1.82,
                },
                Warning::ServerLate {
                    series,
                    p99_ms: 12.5,
                },
            ]
        };
        let neighbours = Neighbourhood {
            others: 1.2,
            stolen: 0.03,
            processors: 2,
        };
        let busy = Warning::BusyMachine { neighbours };
        let all = [Warning::DebugBuild, busy].into_iter();
        let all = all.chain(["sequential", "threaded", "async"].into_iter().flat_map(of));
        let all: Vec<Warning> = all.collect();
        let texts = brief_warnings(&all);
        insta::assert_snapshot!(texts.join("\n"), @r"
        Debug build: its figures mean little. Measure with cargo run --release.
        sequential, threaded and async: the client kept 1.82 processors busy, so this measures the client. Use fewer workers (-m) or longer delays.
        The times were disturbed: others on 1.23 of 2 processors, intervals as wide as 12.3 % of the median, rounds that depend on each other, speed-ups unlike the ratios of the medians and one delay in a hundred 12.5 ms late. Their intervals are of this run; speed-ups hold. Close other programs and measure again.
        ");
        let lines = texts.iter().map(|text| {
            let columns = "warning: ".len() + text.chars().count();
            columns.div_ceil(80)
        });
        assert_eq!(lines.sum::<usize>(), 7);
        // A single sign names the contenders.
        let alone = brief_warnings(&all[2..3]);
        assert!(
            alone[0].starts_with("sequential: the interval"),
            "{alone:?}"
        );
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

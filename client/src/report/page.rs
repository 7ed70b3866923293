//! The report as one HTML page: pictures, tables, and how to repeat the measurement. It needs no
//! network, script or web font, has a light and a dark theme, and fits screens and phones.
//!
//! Each picture is included twice, and the stylesheet shows the one that fits, without a script.

use std::fmt::Display;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::format::{
    interval, list_codes, memory, or_failed, percent, plural, shell_words, short, short_ms, times,
};
use super::plot::{Figure, Width, picture};
use super::{markup, messages, palette};
use crate::result::{Analysis, Environment, Measurement, Report, ScenarioRecord, SeriesAnalysis};

/// The page of these reports, each with its title, such as the name of its file.
pub fn html(reports: &[(&str, &Report)]) -> String {
    let title = match reports {
        [(title, ..)] => format!("{title} – Flagbench"),
        _ => "Flagbench".to_owned(),
    };
    markup::text(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(palette::css())) (PreEscaped(STYLE)) }
            }
            body {
                @if reports.len() > 1 {
                    h1 { "Flagbench" }
                    nav {
                        ul {
                            @for (number, (title, ..)) in reports.iter().enumerate() {
                                li { a href={ "#m" (number) } { (title) } }
                            }
                        }
                    }
                }
                @for (number, (title, report)) in reports.iter().enumerate() {
                    section id={ "m" (number) } {
                        @if reports.len() > 1 { h2 { (title) } } @else { h1 { (title) } }
                        (section(number, report))
                    }
                }
            }
        }
    })
}

fn section(number: usize, report: &Report) -> Markup {
    let measurement = &report.measurement;
    let analysis = &report.analysis;
    let warnings = analysis.warnings.len();
    html! {
        @if let Some(headline) = messages::headline(report) { p.headline { (headline) } }
        p.about {
            (about(measurement))
            " Begun " span.whole { (measurement.started) } "."
            @if warnings > 0 {
                " " a href={ "#m" (number) "-warnings" } { (warnings) " " (plural(warnings, "warning")) } "."
            }
        }
        @for figure in Figure::ALL { (self::figure(report, figure)) }
        h3 { "The numbers" }
        (numbers(analysis))
        @if !analysis.warnings.is_empty() {
            h3 id={ "m" (number) "-warnings" } { "Before you trust them" }
            ul.warnings {
                @for warning in messages::warnings(&analysis.warnings) { li { (warning) } }
            }
        }
        (list("Where the lost time went", analysis.series.iter().filter_map(|series| messages::loss(&series.name, series)).collect()))
        (list("What another order could save", messages::possible(analysis)))
        (list("What was far from the rest", outliers(analysis)))
        h3 { "Do it again" }
        (repeat(measurement))
        h3 { "The machine" }
        (environment(&measurement.environment))
    }
}

fn about(measurement: &Measurement) -> String {
    let job = &measurement.job;
    let codes = job.codes.len();
    let rounds = measurement
        .series
        .iter()
        .map(|series| series.rounds.len())
        .max()
        .unwrap_or(0);
    let early = if measurement.interrupted {
        ", ended early"
    } else {
        ""
    };
    let server = &measurement.server;
    let source = match &server.scenario {
        Some(scenario) if server.is_embedded() => {
            format!("an embedded server with the scenario {}", scenario.name)
        }
        Some(scenario) => format!(
            "{} ({}) with the scenario {}",
            server.label, server.url, scenario.name
        ),
        None => format!("{} ({})", server.label, server.url),
    };
    format!(
        "{codes} {} ({}) from {source}, {rounds} measured {}{early}.",
        plural(codes, "flag"),
        list_codes(&job.codes),
        plural(rounds, "round")
    )
}

fn figure(report: &Report, figure: Figure) -> Markup {
    let measurement = &report.measurement;
    let drawn = |width| picture(report, figure, width);
    let pictures = drawn(Width::Wide).zip(drawn(Width::Narrow));
    html! {
        h3 { (figure.title(measurement)) }
        figure {
            @if let Some((wide, narrow)) = pictures {
                div.wide { (PreEscaped(wide)) }
                div.narrow { (PreEscaped(narrow)) }
            }
            figcaption { (figure.caption(report)) }
        }
    }
}

fn numbers(analysis: &Analysis) -> Markup {
    let has = |wanted: &dyn Fn(&SeriesAnalysis) -> bool| analysis.series.iter().any(wanted);
    let has_excess = has(&|series| series.excess.is_some());
    let has_cpu = has(&|series| series.cpu_ms_per_download.is_some());
    let has_command = has(&|series| series.max_in_flight.is_some());
    let has_memory = has(&|series| series.memory_bytes_per_worker.is_some());
    html! {
        div.scroll role="region" aria-label="The numbers" tabindex="0" {
            table {
                thead {
                    tr {
                        @for head in ["strategy", "median", "fastest", "slowest", "ideal", "speed‑up", "ideal speed‑up",
                            "efficiency", "latency"] { th scope="col" { (head) } }
                        @if has_excess { th scope="col" { "excess" } }
                        @if has_cpu { th scope="col" { "CPU per download" } }
                        @if has_memory { th scope="col" { "memory per worker" } }
                        @if has_command { th scope="col" { "in flight" } th scope="col" { "from the first request" } }
                        @for head in ["errors", "retries"] { th scope="col" { (head) } }
                    }
                }
                tbody {
                    @for series in &analysis.series {
                        tr {
                            th scope="row" { (series.name) }
                            (pair(series.elapsed_ms.map(|elapsed| (short_ms(elapsed.median), interval(&elapsed)))))
                            (cell(series.fastest.map(short)))
                            (cell(series.slowest.map(short)))
                            (cell(series.ideal.map(short)))
                            (pair(series.speed_up.map(|speed_up| (times(speed_up.median), speed_up.interval.map_or(String::new(), |ends| format!("{:.2}–{:.2}", ends.lower, ends.upper))))))
                            (cell(series.ideal_speed_up.map(times)))
                            (cell(series.efficiency.map(percent)))
                            (pair(series.latency.map(|latency| (short_ms(latency.p50), format!("p99 {}", short_ms(latency.p99))))))
                            @if has_excess { (pair(series.excess.map(|excess| (or_failed(excess.p50), format!("p99 {}", or_failed(excess.p99)))))) }
                            @if has_cpu { (cell(series.cpu_ms_per_download.map(short_ms))) }
                            @if has_memory { (cell(series.memory_bytes_per_worker.map(memory))) }
                            @if has_command {
                                (pair(series.max_in_flight.map(|most| (most.to_string(), format!("of {}", series.workers)))))
                                (pair(series.from_first_request_ms.zip(series.startup_ms).map(|(rest, startup)| (short_ms(rest.median), format!("after {}", short_ms(startup))))))
                            }
                            (pair(Some(errors(series))))
                            (cell(Some(series.retries)))
                        }
                    }
                }
            }
        }
        p.note {
            "Under a median or a speed-up stands its 95 % interval, under the median latency and excess the 99th percentile; a speed-up is paired by round. Excess is the latency less the planned time. The ideal is that of a client \
             that takes the flags in the same order and no time itself. Whoever has unplanned errors did not do the whole job, and is not ranked."
            @if has_command {
                " Of a command, in flight is the most requests that the server saw at one time, of as many as it was asked for; under the time from its first request on \
                 stands how long it took to start."
            }
        }
    }
}

fn cell(value: Option<impl Display>) -> Markup {
    html! {
        td { @match value { Some(value) => (value), None => "–" } }
    }
}

/// How many errors there were, and how many were unplanned.
fn errors(series: &SeriesAnalysis) -> (String, String) {
    if series.timed_out {
        return ("timed out".to_owned(), String::new());
    }
    let unplanned = match (series.errors, series.unplanned_errors) {
        (0, 0) => String::new(),
        (_, unplanned) => format!("{unplanned} unplanned"),
    };
    (series.errors.to_string(), unplanned)
}

/// A value above a second one, such as its interval.
fn pair(value: Option<(String, String)>) -> Markup {
    html! {
        td {
            @match value {
                Some((value, more)) => { (value) small { (more) } },
                None => "–",
            }
        }
    }
}

fn outliers(analysis: &Analysis) -> Vec<String> {
    let all_series = analysis.series.iter();
    all_series
        .flat_map(|series| {
            series
                .outliers
                .iter()
                .map(|outlier| messages::outlier(&series.name, outlier))
        })
        .collect()
}

/// The most sentences shown unfolded.
const MAX_UNFOLDED: usize = 8;

/// A list with a heading, if there is anything in it.
fn list(heading: &str, sentences: Vec<String>) -> Markup {
    html! {
        @if !sentences.is_empty() {
            h3 { (heading) }
            @if sentences.len() > MAX_UNFOLDED {
                details {
                    summary { "All " (sentences.len()) }
                    ul { @for sentence in sentences { li { (sentence) } } }
                }
            } @else {
                ul { @for sentence in sentences { li { (sentence) } } }
            }
        }
    }
}

fn repeat(measurement: &Measurement) -> Markup {
    let command = shell_words(&measurement.command);
    html! {
        pre tabindex="0" { code { (command) } }
        @match &measurement.server.scenario {
            Some(scenario) => (self::scenario(scenario, measurement.job.retry_seed)),
            None => p {
                "The server was not ours: what it did may be another the next time. The pauses before retries have the seed "
                (measurement.job.retry_seed) "."
            },
        }
    }
}

fn scenario(scenario: &ScenarioRecord, retry_seed: u64) -> Markup {
    html! {
        p {
            "Seed " b { (scenario.seed) }
            @if retry_seed != scenario.seed { ", for the pauses before retries " b { (retry_seed) } }
            ": every delay and every fault is the same again, in any order and at any concurrency. This is the whole scenario; it can be saved \
             and given to " code { "--scenario FILE --seed " (scenario.seed) } "."
        }
        details {
            summary { "Scenario " (scenario.name) }
            pre tabindex="0" { code { (scenario.toml) } }
        }
    }
}

fn environment(environment: &Environment) -> Markup {
    let system = [
        Some(environment.os.clone()),
        environment.os_version.clone(),
        environment
            .kernel
            .as_ref()
            .map(|kernel| format!("kernel {kernel}")),
        Some(environment.arch.clone()),
    ];
    let system: Vec<String> = system.into_iter().flatten().collect();
    let facts = [
        (
            "flag-client",
            Some(format!(
                "{}, {} build",
                environment.flag_client, environment.build
            )),
        ),
        ("processor", environment.cpu.clone()),
        (
            "logical processors",
            environment.cores.map(|cores| cores.to_string()),
        ),
        ("memory", environment.memory_bytes.map(memory)),
        ("system", Some(system.join(", "))),
        (
            "load at the start",
            environment.load.map(|load| format!("{load:.2}")),
        ),
    ];
    html! {
        dl {
            @for (name, fact) in facts {
                @if let Some(fact) = fact { dt { (name) } dd { (fact) } }
            }
        }
    }
}

const STYLE: &str = "\
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
* { box-sizing: border-box }
body { background: var(--paper); color: var(--ink); margin: 0 auto; max-width: 68rem; overflow-wrap: anywhere; padding: 1rem }
h1 { font-size: 1.75rem; line-height: 1.2; margin: .5rem 0 }
h2 { border-top: 2px solid var(--grid); font-size: 1.5rem; line-height: 1.2; margin: 3rem 0 .5rem; padding-top: 1.5rem }
h3 { font-size: 1.15rem; margin: 2.5rem 0 .5rem }
a { color: var(--lane2) }
.headline { font-size: 1.25rem; line-height: 1.4; margin: .5rem 0 }
.about, .note, figcaption, dt { color: var(--muted) }
.note, figcaption { font-size: .9rem; max-width: 46rem }
figure { margin: 0 }
figcaption { margin-top: .5rem }
svg { display: block; height: auto; width: 100% }
svg text { font-family: system-ui, sans-serif }
.narrow { display: none }
.whole { white-space: nowrap }
.scroll, pre { max-width: 100%; overflow-x: auto }
pre { background: var(--band); border: 1px solid var(--grid); border-radius: .4rem; font-size: .875rem; padding: .75rem }
table { border-collapse: collapse; font-size: .8125rem; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { border-bottom: 1px solid var(--grid); padding: .4rem .5rem; text-align: right; vertical-align: top; white-space: nowrap }
thead th { color: var(--muted); font-weight: 500; vertical-align: bottom; white-space: normal }
td small { color: var(--muted); display: block; font-size: .8em }
th:first-child { background: var(--paper); left: 0; padding-left: 0; position: sticky; text-align: left }
ul { padding-left: 1.25rem }
.warnings { border-left: 4px solid var(--waiting); list-style: none; margin: 0; padding: .1rem 0 .1rem 1rem }
.warnings li { margin: .5rem 0 }
dl { display: grid; gap: .25rem 1.5rem; grid-template-columns: max-content 1fr }
dd { margin: 0 }
summary { cursor: pointer; padding: .4rem 0 }
@media (max-width: 720px) {
.wide { display: none }
.narrow { display: block; max-width: 34rem }
h1 { font-size: 1.5rem }
dl { grid-template-columns: 1fr; gap: 0 }
dd { margin-bottom: .5rem }
}
@media print { .scroll { overflow: visible } }
";

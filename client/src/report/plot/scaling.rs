//! What more workers buy: the speed-up of the series of a race, or the throughput of a sweep,
//! beside that of a perfect client; and the share of the ideal that was reached.

use std::num::NonZeroUsize;

use super::canvas::{
    At, Axis, Chart, Drawn, Marker, canvas, chart, dashes, dot, fine, legend, legend_height, line,
    note, poster_title, ring, ticks, write,
};
use super::draft::{Draft, POSTER_HEIGHT};
use crate::report::format::{percent, times};
use crate::report::messages;
use crate::report::palette::{self, Colour};
use crate::result::{Analysis, IdealTimes, Kind, Report, Scaling, ScalingPoint, stats};

/// The numbers of workers that are named on the axis, as far as it goes.
const NAMED: [usize; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// Everything that is in one chart, by the number of workers.
#[derive(Debug, Default)]
struct Curves {
    /// What a perfect client reaches.
    ideal: Vec<(f64, f64)>,
    contenders: Vec<Contender>,
}

/// A dot, with the ends of its interval if it has one.
#[derive(Debug, Clone, Copy)]
struct Point {
    workers: f64,
    value: f64,
    interval: Option<(f64, f64)>,
}

/// What one contender reached.
#[derive(Debug)]
struct Contender {
    name: String,
    colour: Colour,
    points: Vec<Point>,
    fitted: Vec<(f64, f64)>,
    knee: Option<f64>,
}

pub(super) fn caption(report: &Report) -> String {
    let measurement = &report.measurement;
    let analysis = &report.analysis;
    if measurement.kind == Kind::Sweep {
        return sweep_caption(analysis);
    }
    let first = measurement
        .series
        .first()
        .map_or("", |series| series.name.as_str());
    let descriptions: Vec<String> = analysis
        .series
        .iter()
        .skip(1)
        .filter_map(|numbers| {
            let speed_up = numbers.speed_up?;
            let ideal = numbers.ideal_speed_up.map_or(String::new(), |ideal| {
                format!(" (a perfect client: {})", times(ideal))
            });
            Some(format!(
                "{}: {}{ideal}",
                numbers.name,
                times(speed_up.median)
            ))
        })
        .collect();
    if descriptions.is_empty() {
        return "Fewer than two contenders have complete rounds, so there is no speed-up."
            .to_owned();
    }
    let curve = if IdealTimes::of(measurement).at(NonZeroUsize::MIN).is_ok() {
        " The dashed curve is a client that takes no time itself and takes the flags in the same order: it flattens where the longest \
         download alone takes all the time."
    } else {
        ""
    };
    format!(
        "How many times as fast as {first}. {}.{curve}",
        descriptions.join("; ")
    )
}

fn sweep_caption(analysis: &Analysis) -> String {
    let descriptions: Vec<String> = analysis
        .scaling
        .iter()
        .filter_map(|scaling| {
            let best = scaling
                .points
                .iter()
                .max_by(|a, b| a.throughput.total_cmp(&b.throughput))?;
            Some(format!(
                "{} has its highest median with {} workers: {:.0} flags per second.",
                scaling.contender, best.workers, best.throughput
            ))
        })
        .collect();
    if descriptions.is_empty() {
        return "No round was completed, so scaling cannot be shown.".to_owned();
    }
    let has_lines = analysis.scaling.iter().any(|scaling| scaling.usl.is_some());
    let lines = if has_lines {
        "; a line is the ideal less the time lost that grows with the workers, as fitted"
    } else {
        ""
    };
    format!(
        "{} Dots are medians{lines}. {}",
        descriptions.join(" "),
        messages::scaling(&analysis.scaling).join(" ")
    )
    .trim_end()
    .to_owned()
}

pub(super) fn efficiency_caption(report: &Report) -> String {
    let analysis = &report.analysis;
    let all_series = analysis
        .series
        .iter()
        .filter_map(|numbers| Some((&numbers.name, numbers.efficiency?)));
    let worst = all_series.clone().min_by(|a, b| a.1.total_cmp(&b.1));
    let best = all_series.max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((worst, best)) = worst.zip(best) else {
        let mut reasons = (analysis.series.iter()).filter_map(|numbers| numbers.no_ideal.as_ref());
        return if let Some(reason) = reasons.next() {
            format!("There is no ideal, and so no efficiency: {reason}.")
        } else {
            "No round was completed, so there is no efficiency.".to_owned()
        };
    };
    format!(
        "The ideal time for as many workers, divided by the median: 100 % is a client that takes no time itself. Best: {} with {}; worst: {} \
         with {}.",
        best.0,
        percent(best.1),
        worst.0,
        percent(worst.1)
    )
}

pub(super) fn draw(draft: Draft<'_>, name: &str) -> Option<String> {
    let report = draft.report;
    match report.measurement.kind {
        Kind::Sweep => {
            let curves = throughputs(report);
            draw_curves(draft, name, &curves, &|at| format!("{at}/s"))
        }
        Kind::Get | Kind::Bench => {
            // A speed-up over itself is always 1.
            let is_race = report.measurement.series.len() > 1;
            let curves = is_race.then(|| speed_ups(report))?;
            draw_curves(draft, name, &curves, &|at| format!("{at}×"))
        }
    }
}

pub(super) fn draw_efficiency(draft: Draft<'_>, name: &str) -> Option<String> {
    let curves = efficiencies(draft.report);
    draw_curves(draft, name, &curves, &|at| format!("{at} %"))
}

fn throughputs(report: &Report) -> Curves {
    let ideal = ideal_throughputs(report).unwrap_or_default();
    let contenders = (report.analysis.scaling.iter().enumerate()).map(|(index, scaling)| {
        let point = |point: &ScalingPoint| Point {
            workers: point.workers as f64,
            value: point.throughput,
            interval: None,
        };
        Contender {
            name: scaling.contender.clone(),
            colour: palette::series(index),
            points: scaling.points.iter().map(point).collect(),
            fitted: fitted(scaling, &ideal).unwrap_or_default(),
            knee: scaling.knee,
        }
    });
    Curves {
        contenders: contenders.collect(),
        ideal,
    }
}

/// The ideal throughputs less the time lost that grows with the workers.
fn fitted(scaling: &Scaling, ideal: &[(f64, f64)]) -> Option<Vec<(f64, f64)>> {
    let law = scaling.usl?;
    let most = scaling.points.last()?.workers as f64;
    let (_, of_one) = ideal.first()?;
    let fitted = |&(workers, ideal): &(f64, f64)| {
        (workers, law.lambda * ideal / of_one / law.factor(workers))
    };
    let measured = ideal.iter().filter(|(workers, _)| *workers <= most);
    Some(measured.map(fitted).collect())
}

/// At every number of workers, because it is not linear between the measured ones.
fn ideal_throughputs(report: &Report) -> Option<Vec<(f64, f64)>> {
    let measurement = &report.measurement;
    let analysis = &report.analysis;
    let ideals = IdealTimes::of(measurement);
    let makespan = |workers| ideals.at(workers).ok();
    let points = || analysis.scaling.iter().flat_map(|scaling| &scaling.points);
    let known = points().find(|point| point.ideal_throughput.is_some())?;
    let flags =
        known.ideal_throughput? * makespan(NonZeroUsize::new(known.workers)?)?.as_secs_f64();
    let most = points().map(|point| point.workers).max()?;
    let at = |workers: usize| {
        let seconds = makespan(NonZeroUsize::new(workers)?)?.as_secs_f64();
        (seconds > 0.0).then(|| (workers as f64, flags / seconds))
    };
    Some((1..=most).filter_map(at).collect())
}

fn speed_ups(report: &Report) -> Curves {
    let measurement = &report.measurement;
    let analysis = &report.analysis;
    let most = measurement.series.iter().map(|series| series.workers).max();
    let first = measurement.series.first().map(|series| series.workers);
    let ideals = IdealTimes::of(measurement);
    let ideal = most.zip(first).map(|(most, first)| {
        let at = |workers: usize| {
            let workers = NonZeroUsize::new(workers)?;
            let speed_up = stats::ratio(ideals.at(first).ok()?, ideals.at(workers).ok()?)?;
            Some((workers.get() as f64, speed_up))
        };
        (1..=most.get()).filter_map(at).collect()
    });
    let contenders = measurement.series.iter().zip(&analysis.series).enumerate();
    Curves {
        ideal: ideal.unwrap_or_default(),
        contenders: contenders
            .filter_map(|(index, (series, numbers))| {
                let speed_up = numbers.speed_up?;
                let interval = speed_up.interval.map(|ends| (ends.lower, ends.upper));
                Some(Contender {
                    name: series.name.clone(),
                    colour: palette::series(index),
                    points: vec![Point {
                        workers: series.workers.get() as f64,
                        value: speed_up.median,
                        interval,
                    }],
                    fitted: Vec::new(),
                    knee: None,
                })
            })
            .collect(),
    }
}

/// In percent. The series of one contender of a sweep are one line.
fn efficiencies(report: &Report) -> Curves {
    let measurement = &report.measurement;
    let analysis = &report.analysis;
    let mut curves = Curves::default();
    for (index, (series, numbers)) in measurement.series.iter().zip(&analysis.series).enumerate() {
        let Some(efficiency) = numbers.efficiency else {
            continue;
        };
        let point = Point {
            workers: series.workers.get() as f64,
            value: efficiency * 100.0,
            interval: None,
        };
        let name = match measurement.kind {
            Kind::Sweep => series.name.split('@').next().unwrap_or(&series.name),
            Kind::Get | Kind::Bench => &series.name,
        };
        let known = curves
            .contenders
            .iter_mut()
            .find(|known| known.name == name);
        if let (Kind::Sweep, Some(known)) = (measurement.kind, known) {
            known.points.push(point);
        } else {
            let place = if measurement.kind == Kind::Sweep {
                curves.contenders.len()
            } else {
                index
            };
            curves.contenders.push(Contender {
                name: name.to_owned(),
                colour: palette::series(place),
                points: vec![point],
                fitted: Vec::new(),
                knee: None,
            });
        }
    }
    for contender in &mut curves.contenders {
        contender
            .points
            .sort_by(|a, b| a.workers.total_cmp(&b.workers));
        if measurement.kind == Kind::Sweep {
            contender.fitted = contender
                .points
                .iter()
                .map(|point| (point.workers, point.value))
                .collect();
        }
    }
    let workers = || {
        measurement
            .series
            .iter()
            .map(|series| series.workers.get() as f64)
    };
    if let Some(most) = workers().max_by(f64::total_cmp) {
        curves.ideal = vec![(1.0, 100.0), (most.max(2.0), 100.0)];
    }
    curves
}

fn draw_curves(
    draft: Draft<'_>,
    name: &str,
    curves: &Curves,
    label: &dyn Fn(f64) -> String,
) -> Option<String> {
    let Draft { format, poster, .. } = draft;
    let points = || {
        curves
            .contenders
            .iter()
            .flat_map(|contender| &contender.points)
    };
    let most = points().map(|point| point.workers).max_by(f64::total_cmp)?;
    let ideals = curves.ideal.iter().map(|point| point.1);
    let fitted = curves
        .contenders
        .iter()
        .flat_map(|contender| &contender.fitted);
    let highest = points().map(|point| point.interval.map_or(point.value, |(_, upper)| upper));
    let highest = highest
        .chain(ideals)
        .chain(fitted.map(|point| point.1))
        .fold(0.0, f64::max);
    if !(highest > 0.0 && highest.is_finite()) {
        return None;
    }
    let mut entries = Vec::new();
    if !curves.ideal.is_empty() {
        entries.push((Marker::Dashes, palette::MUTED, "ideal".to_owned()));
    }
    for contender in &curves.contenders {
        entries.push((Marker::Dot, contender.colour, contender.name.clone()));
    }
    let title = poster.map_or(0.0, |_| format.text * 3.0);
    let top = title + legend_height(format, &entries) + format.text * 0.5;
    let foot = format.line();
    let height = if poster.is_some() {
        POSTER_HEIGHT
    } else {
        top + 260.0 + foot
    };
    Some(canvas(format, height, name, poster.is_some(), |area| {
        poster_title(area, format, poster, title)?;
        legend(area, format, title, &entries)?;
        let middle = (format.width / 2.0, height - foot * 0.6);
        write(
            area,
            "downloads at one time",
            middle,
            At::Middle,
            palette::MUTED,
            format.text * 0.92,
        )?;
        let part = area.clone().margin(fine(top), fine(foot), 0, 0);
        let most = most.max(2.0).log2();
        let range = 0.0..highest * 1.08;
        let named = NAMED.into_iter().map(|workers| (workers as f64).log2());
        let x = Axis {
            range: -0.15..most + 0.15,
            ticks: named.filter(|at| *at <= most + 0.05).collect(),
            label: &|at| format!("{:.0}", at.exp2()),
            has_grid: true,
        };
        let y = Axis {
            ticks: ticks(&range, 6),
            range,
            label: &|at| label((at * 1e6).round() / 1e6),
            has_grid: true,
        };
        let mut chart = chart(&part, format, format.text * 4.2, &x, &y)?;
        let ideal = curves
            .ideal
            .iter()
            .map(|&(workers, value)| (workers.log2(), value))
            .collect();
        if !curves.ideal.is_empty() {
            dashes(&mut chart, ideal, palette::MUTED, 1.5 * format.bold)?;
        }
        let bold = format.bold;
        let knees = curves
            .contenders
            .iter()
            .filter_map(|contender| contender.knee);
        let leftmost = knees.fold(f64::INFINITY, f64::min);
        for (place, contender) in curves.contenders.iter().enumerate() {
            // Overlapping dots: the first is the widest.
            let radius = 3.5 + 1.5 * (curves.contenders.len() - 1 - place) as f64;
            let radius = radius.min(9.5) * bold;
            draw_contender(&mut chart, contender, radius, highest * 1.08, bold)?;
            if let Some(knee) = contender.knee {
                // One below the other, left of all knees.
                let height = highest * (1.06 - 0.08 * place as f64);
                let at = (leftmost.max(1.0).log2() - 0.06, height);
                let text = format!("knee of {}: {knee:.0}", contender.name);
                note(&mut chart, at, text, contender.colour, format.text * 0.92)?;
            }
        }
        Ok(())
    }))
}

fn draw_contender(
    chart: &mut Chart<'_, '_>,
    contender: &Contender,
    radius: f64,
    top: f64,
    bold: f64,
) -> Drawn {
    let colour = contender.colour;
    if let Some(knee) = contender.knee {
        let at = knee.max(1.0).log2();
        dashes(chart, vec![(at, 0.0), (at, top)], colour, bold)?;
    }
    let fitted: Vec<(f64, f64)> = contender
        .fitted
        .iter()
        .map(|&(workers, value)| (workers.log2(), value))
        .collect();
    if !fitted.is_empty() {
        line(chart, fitted, colour, 2.0 * bold)?;
    }
    for &Point {
        workers,
        value,
        interval,
    } in &contender.points
    {
        let at = workers.log2();
        if let Some((lower, upper)) = interval {
            line(chart, vec![(at, lower), (at, upper)], colour, 2.0 * bold)?;
        }
        dot(chart, (at, value), colour, radius, 1.0)?;
        ring(chart, (at, value), palette::PAPER, radius, bold)?;
    }
    Ok(())
}

//! `flag-client bench` and `flag-client sweep`: a race, watched, saved after every round, reported
//! and judged.

use std::time::{Duration, Instant};

use anyhow::bail;
use flag_cli::complain;
use flag_client::download::{CancelToken, Images, Runner, Watcher};
use flag_client::race::command::ExternalCommand;
use flag_client::race::{Contender, ContenderError, Race, RaceEvent, Target};
use flag_client::report::progress::RaceBar;
use flag_client::report::table;
use flag_client::result::{IdealTimes, Measurement, Report, Round, Series, threshold};
use flags_data::{Catalogue, did_you_mean};

use crate::compare::exit_code;
use crate::exit::{FAILED, INTERRUPTED, REGRESSED, Usage};
use crate::export::{NamedReport, Stage};
use crate::spec::{BenchSpec, RaceSpec, ServerSpec, SweepSpec};
use crate::terminal::{cancel_on_ctrl_c, command_line, say, width};

/// After a save, the next one waits for this many times as long as that took: saving has at most a
/// quarter of the time.
const PAUSE_BETWEEN_SAVES: u32 = 3;

/// The names of all contenders that come with the program.
pub(crate) fn known_contenders() -> Vec<String> {
    Runner::all().iter().map(Runner::name).collect()
}

/// Races the contenders, on one server after another.
pub(crate) fn bench(spec: &BenchSpec) -> anyhow::Result<u8> {
    let output = &spec.race.output;
    let cancel = cancel_on_ctrl_c()?;
    let mut results = Vec::new();
    let mut code = 0;
    for (number, server) in spec.servers.iter().enumerate() {
        if number > 0 && output.prints_text() {
            say("\n");
        }
        let (result, its_code) = match race(spec, server, &results, &cancel) {
            Ok(raced) => raced,
            Err(error) => {
                output.exports.save_pictures(&results, Stage::Last).ok();
                return Err(error);
            }
        };
        // The codes are in the order of what matters more.
        code = code.max(its_code);
        results.push(result);
        if cancel.is_requested() {
            break;
        }
        if number + 1 < spec.servers.len() {
            // What the next race meets must not cost what is known.
            output.exports.save_pictures(&results, Stage::More)?;
        }
    }
    output.exports.save_pictures(&results, Stage::Last)?;
    Ok(code)
}

/// One race; the results before it have taken their names.
fn race(
    spec: &BenchSpec,
    server: &ServerSpec,
    before: &[NamedReport],
    cancel: &CancelToken,
) -> anyhow::Result<(NamedReport, u8)> {
    let output = &spec.race.output;
    let mut contenders = strategies(&spec.race.runners);
    let target = server.target()?;
    for line in &spec.commands {
        // A named server has been refused by then: it would not report what it was asked for.
        if let Some(plan) = &target.plan {
            let scenario = plan.scenario().clone();
            let command = ExternalCommand::try_new(line, scenario, spec.port)?;
            contenders.push(Box::new(command));
        }
    }
    let images = Images::Verify(Catalogue::embedded());
    let job = spec
        .race
        .download
        .job(server, &target, images, cancel.clone());
    let mut race = Race::bench(contenders, job)
        .probes_memory(true)
        .command_timeout(spec.command_timeout);
    if let Some(reference) = &spec.reference {
        if !race.names().any(|name| name == reference) {
            let names: Vec<&str> = race.names().collect();
            bail!(Usage(format!(
                "--reference: no contender is called {reference:?}{}; take one of {}",
                did_you_mean(reference, names.iter().copied()),
                names.join(", ")
            )));
        }
        race = race.reference(reference);
    }
    let session = Session::new(&spec.race, name(&target, before), race, &target);
    if let Some(baseline) = &spec.baseline {
        baseline.check(&session.measurement)?;
    }
    let (result, code) = session.run()?;
    if let Some(baseline) = &spec.baseline {
        let comparison = baseline.compare(&result.report.measurement);
        if !output.is_quiet || comparison.is_slower() {
            let text = table::comparison(&comparison);
            if output.is_text() {
                say(&text);
            } else {
                complain(&text);
            }
        }
        if code == 0 {
            return Ok((result, exit_code(&comparison)));
        }
    }
    Ok((result, code))
}

/// What a race is called, in a page and as a file: the scenario or the label, with a number where
/// another has that name.
fn name(target: &Target, before: &[NamedReport]) -> String {
    let plain = match &target.plan {
        Some(plan) if target.is_embedded() => plan.name.clone(),
        _ => target.label.to_lowercase(),
    };
    let is_free = |name: &String| before.iter().all(|result| result.name != *name);
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    names.find(is_free).expect("numbers do not end")
}

/// Races them at several numbers of workers.
pub(crate) fn sweep(spec: &SweepSpec) -> anyhow::Result<u8> {
    let target = spec.server.target()?;
    let images = Images::Verify(Catalogue::embedded());
    let cancel = cancel_on_ctrl_c()?;
    let job = spec
        .race
        .download
        .job(&spec.server, &target, images, cancel);
    let race = Race::sweep(strategies(&spec.race.runners), job, &spec.levels);
    let session = Session::new(&spec.race, name(&target, &[]), race, &target);
    let (result, code) = session.run()?;
    (spec.race.output.exports).save_pictures(&[result], Stage::Last)?;
    Ok(code)
}

fn strategies(runners: &[Runner]) -> Vec<Box<dyn Contender>> {
    let boxed = |&runner| Box::new(runner) as Box<dyn Contender>;
    runners.iter().map(boxed).collect()
}

/// One measurement from its beginning to its end.
struct Session<'a> {
    name: String,
    race: Race,
    measurement: Measurement,
    spec: &'a RaceSpec,
}

impl<'a> Session<'a> {
    fn new(spec: &'a RaceSpec, name: String, race: Race, target: &Target) -> Self {
        let race = race.rounds(spec.rounds).warmup(spec.warmup);
        Self {
            name,
            measurement: race.begin(target, command_line()),
            race,
            spec,
        }
    }

    /// Measures, prints, and saves all but pictures; the result, and the exit code that follows
    /// from it.
    fn run(self) -> anyhow::Result<(NamedReport, u8)> {
        let (output, name) = (&self.spec.output, self.name.clone());
        let is_verbose = self.spec.is_verbose;
        threshold::check_names(&output.thresholds, &self.measurement, &known_contenders())?;
        if output.prints_text() {
            let opening = table::opening(&self.measurement, self.spec.rounds, self.spec.warmup);
            say(&opening);
        }
        let (measurement, raced) = self.race();
        let is_empty = measurement
            .series
            .iter()
            .all(|series| series.rounds.is_empty());
        let raced = match raced {
            // There is nothing to report but the reason.
            Err(error) if is_empty => return Err(error.into()),
            raced => raced,
        };
        let report = Report::of(measurement);
        // What was measured is printed before anything can fail to be written.
        output.print(&report, &table::closing(&report, width(), is_verbose));
        let all_met = output.judge(&report);
        raced?;
        let result = NamedReport { name, report };
        output.exports.save(&result, Stage::Last)?;

        let Report {
            measurement,
            analysis,
        } = &result.report;
        let unplanned = analysis
            .series
            .iter()
            .any(|series| series.unplanned_errors > 0 || series.timed_out);
        let mut rounds = measurement.series.iter().flat_map(|series| &series.rounds);
        let failed = measurement.server_gone || unplanned || rounds.any(has_failed);
        let code = match (measurement.interrupted, all_met, failed) {
            (true, ..) => INTERRUPTED,
            (false, false, _) => REGRESSED,
            (false, true, true) => FAILED,
            (false, true, false) => 0,
        };
        Ok((result, code))
    }

    /// The race, with a bar or a line for each round beside it; everything so far is saved after
    /// each, unless the rounds are so short that it would be most of the work.
    fn race(self) -> (Measurement, Result<(), ContenderError>) {
        let Self {
            name,
            race,
            mut measurement,
            spec,
        } = self;
        let (output, is_verbose) = (&spec.output, spec.is_verbose);
        let names: Vec<String> = race.names().map(str::to_owned).collect();
        let expected = expected(&measurement);
        let all: Duration = expected.iter().sum();
        let downloads = measurement.job.codes.len();
        let bar = RaceBar::new(downloads, !is_verbose && !output.is_quiet);
        let watched = bar.clone();
        let race = race.watcher(Watcher::new(move |sample| {
            if sample.is_last() {
                watched.advance();
            }
        }));
        let mut next_save = Instant::now();
        let raced = race.run(&mut measurement, |moment| match moment {
            RaceEvent::Begins {
                series,
                rounds: done,
            } => {
                let rounds = (spec.warmup + spec.rounds.at_least()).max(done + 1) as u32;
                bar.begin_round(&names[series], expected[series], all * rounds);
            }
            RaceEvent::Measured {
                series,
                measurement,
            } => {
                let series = &measurement.series[series];
                if let (true, Some(round)) = (is_verbose, series.rounds.last()) {
                    let (number, took) = (series.rounds.len(), round.elapsed);
                    bar.print_above(&format!("round {number}: {} took {took:.3?}", series.name));
                }
                // What cannot be saved now is tried again after the next round, and reported after
                // the last.
                if output.exports.repeats() && Instant::now() >= next_save {
                    let begun = Instant::now();
                    let result = NamedReport {
                        name: name.clone(),
                        report: Report::of(measurement.clone()),
                    };
                    output.exports.save(&result, Stage::More).ok();
                    next_save = Instant::now() + begun.elapsed() * PAUSE_BETWEEN_SAVES;
                }
            }
        });
        bar.finish();
        (measurement, raced)
    }
}

/// Whether a command ended badly though its downloads had ended well: that they did not is counted
/// elsewhere, as planned or not.
fn has_failed(round: &Round) -> bool {
    let mut endings = round.samples.iter().filter(|sample| sample.is_last());
    round.exit_code.is_some() && !endings.any(|sample| sample.outcome.is_error())
}

/// About how long a round of each series will take: what is ideal or at least the least that is
/// possible, or equally long where neither is known.
fn expected(measurement: &Measurement) -> Vec<Duration> {
    let (least, unknown) = (Duration::from_millis(10), Duration::from_secs(1));
    let ideals = IdealTimes::of(measurement);
    let expected = |series: &Series| {
        let (ideal, bound) = ideals.of_series(series);
        ideal.ok().or(bound).map_or(unknown, |time| time.max(least))
    };
    measurement.series.iter().map(expected).collect()
}

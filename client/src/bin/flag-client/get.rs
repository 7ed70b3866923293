//! `flag-client get`: the book's flags2 program.

use flag_cli::complain;
use flag_client::download::{Images, Job, Outcome, RightImages, Sample, Watcher};
use flag_client::load::is_flagbench;
use flag_client::race::{self, Contender, Target};
use flag_client::report::{book, progress};
use flag_client::result::{Kind, Report};
use flags_data::Catalogue;
use indicatif::ProgressBar;

use crate::exit::FAILED;
use crate::export::save_json;
use crate::files::OutputFolder;
use crate::signals::cancel_on_signal;
use crate::spec::GetSpec;
use crate::terminal::{command_line, say};

/// Downloads, saves, and says so in the words of the book.
pub(crate) fn get(spec: &GetSpec) -> anyhow::Result<u8> {
    let target = spec.server.target(&spec.open_files())?;
    let folder = OutputFolder::open("--out", &spec.out)?;
    let cancel = cancel_on_signal();
    let images = Images {
        right: if target.is_embedded() {
            RightImages::Catalogue(Catalogue::embedded())
        } else {
            RightImages::Named
        },
        folder: Some(folder.path),
    };
    let mut job = spec.download.job(&spec.server, &target, images, cancel);
    let bar = progress::bar(job.codes.len(), !spec.is_verbose);
    job.watcher = watcher(&job, bar.clone(), spec.is_verbose);

    let workers = spec.runner.workers(&job);
    let opening = book::opening(&target.label, &job.base_url, &job.codes, workers.get());
    say(&opening);
    let round = Contender::run(&spec.runner, &job)?;
    bar.finish_and_clear();
    say(&book::closing(&round.samples, round.elapsed));

    // An embedded server runs what is planned.
    let named = target.plan.as_ref().filter(|_| !target.is_embedded());
    let checked = named.map_or(Ok(()), |plan| race::check_plan(plan, &job, &round.samples));
    let mut endings = round.samples.iter().filter(|sample| sample.is_last());
    let has_none = !spec.may_be_without_flags
        && (endings.clone()).all(|sample| sample.outcome == Outcome::NotFound);
    let has_failed = has_none || endings.any(|sample| sample.outcome.is_error());
    if has_none && !job.cancel.is_requested() {
        print_hint(&job, &target);
    } else if has_failed && !target.is_embedded() && only_wrong_answers(&round.samples) {
        print_stranger(&target);
    }
    if let Some(file) = &spec.export_json {
        let mut measurement = race::begin(Kind::Get, &job, &target, command_line());
        measurement.interrupted = job.cancel.is_requested();
        let mut series = race::series(&spec.runner, &job);
        series.rounds.push(round);
        measurement.series.push(series);
        save_json(file, &Report::of(measurement))?;
    }
    checked?;
    Ok(if has_failed { FAILED } else { 0 })
}

/// Whether every flag had an answer, and none was the flag.
fn only_wrong_answers(samples: &[Sample]) -> bool {
    let mut endings = samples.iter().filter(|sample| sample.is_last());
    endings.all(|sample| {
        let is_right = sample.outcome == Outcome::Downloaded;
        sample.status.is_some() && sample.rules.is_none() && !is_right
    })
}

/// Says so if the server that was named is not Flagbench's; whether it is not.
fn print_stranger(target: &Target) -> bool {
    let is_stranger = (target.base_url.parse()).is_ok_and(|url| !is_flagbench(&url));
    if is_stranger {
        let url = &target.base_url;
        complain(&format!(
            "no Flagbench server answers at {url}, but some other program: start flag-server on another port, and name its address with -s\n"
        ));
    }
    is_stranger
}

/// None of the flags is there. At a named server the address may be wrong rather than all codes.
fn print_hint(job: &Job, target: &Target) {
    if !target.is_embedded() && print_stranger(target) {
        return;
    }
    let Some(code) = job.codes.first() else {
        return;
    };
    let remedy = if target.is_embedded() {
        "check the codes"
    } else {
        "check the codes, and the address that -s names"
    };
    let url = job.image_url(*code);
    complain(&format!(
        "none of them was found, such as {url}: {remedy}\n"
    ));
}

/// A line per attempt, or a bar.
fn watcher(job: &Job, bar: ProgressBar, is_verbose: bool) -> Watcher {
    if is_verbose {
        let urls = job.clone();
        Watcher::new(move |sample| say(&(book::line(sample, &urls.image_url(sample.code)) + "\n")))
    } else {
        Watcher::new(move |sample| bar.inc(u64::from(sample.is_last())))
    }
}

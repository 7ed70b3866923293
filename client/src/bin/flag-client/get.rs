//! `flag-client get`: the book's flags2 program.

use crate::args::GetArgs;
use flag_client::download::{Images, Job, Runner, Watcher};
use flag_client::race::{self, Contender};
use flag_client::report::{book, progress};
use flag_client::result::{Analysis, Kind};

use crate::{FAILED, INTERRUPTED, command_line, job, output, say, stop_on_ctrl_c, target};

/// Downloads, saves, and says so in the words of the book.
pub(crate) fn get(args: &GetArgs) -> anyhow::Result<u8> {
    let wire = args.runner.wire();
    let runners = Runner::select(&[args.strategy], &[args.http], args.runner.runtime, wire)?;
    let runner = runners[0];
    output::check_file("--export-json", args.export_json.as_deref())?;
    let target = target(&args.server, args.shared.seed, "local")?;
    output::make_writable("--out", &args.out)?;
    let images = Images::Save(args.out.clone());
    let mut job = Job {
        max_workers: args.max_req,
        ..job(
            &args.shared,
            &args.runner,
            &target,
            images,
            &stop_on_ctrl_c()?,
        )
    };
    let bar = progress::bar(job.codes.len(), !args.shared.verbose);
    job.watcher = if args.shared.verbose {
        let urls = job.clone();
        Watcher::new(move |sample| say(&(book::line(sample, &urls.image_url(sample.code)) + "\n")))
    } else {
        let bar = bar.clone();
        Watcher::new(move |sample| bar.inc(u64::from(sample.is_last())))
    };

    let workers = runner.workers(&job);
    let opening = book::opening(&target.label, &job.base_url, &job.codes, workers.get());
    say(&opening);
    let round = Contender::run(&runner, &job)?;
    bar.finish_and_clear();
    say(&book::closing(&round.samples, round.elapsed));

    let mut endings = round.samples.iter().filter(|sample| sample.is_last());
    let failed = endings.any(|sample| sample.outcome.is_error());
    if let Some(file) = &args.export_json {
        let mut measurement = race::begin(Kind::Get, &job, &target, command_line());
        measurement.interrupted = job.stop.is_requested();
        measurement.lanes.push(race::lane(&runner, &job));
        measurement.lanes[0].rounds.push(round);
        output::save_json(
            "--export-json",
            file,
            &measurement,
            &Analysis::of(&measurement),
        )?;
    }
    Ok(match (job.stop.is_requested(), failed) {
        (true, _) => INTERRUPTED,
        (false, true) => FAILED,
        (false, false) => 0,
    })
}

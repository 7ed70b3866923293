//! A downloader of one's own in the race: each thread gets its share of the codes in advance.
//!
//! With a queue, who was lucky with the delays takes more; here such a thread goes home early, and
//! all wait for the unluckiest. The table says what that costs.

use std::error::Error;
use std::io::Write;
use std::thread;
use std::time::Instant;

use flag_client::download::{AttemptError, Download, Downloader, Job, Runner, Sample, Strategy};
use flag_client::race::{Contender, Custom, Race, Rounds, Target};
use flag_client::report::table;
use flag_client::result::Report;
use flag_scenario::ScenarioSource;
use flags_data::POP20;

/// As many chunks as workers, and a thread for each.
struct Chunks;

impl Downloader for Chunks {
    fn download_many(&self, job: &Job) -> Vec<Sample> {
        let round = Instant::now();
        let size = job.codes.len().div_ceil(job.workers().get()).max(1);
        let work = |worker, codes: &[_]| -> Vec<Sample> {
            let one = |&code| Download::new(round, code, worker).record(job, get);
            codes.iter().flat_map(one).collect()
        };
        let mut samples = thread::scope(|scope| {
            let chunks = job.codes.chunks(size).enumerate();
            let threads: Vec<_> = chunks
                .map(|(worker, codes)| scope.spawn(move || work(worker, codes)))
                .collect();
            let samples = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            samples.collect::<Vec<_>>()
        });
        samples.sort_by_key(|sample| sample.done);
        samples
    }
}

/// The status and the body.
fn get(url: &str, attempt: u32) -> Result<(u16, Vec<u8>), AttemptError> {
    let request = ureq::get(url).header("flag-attempt", attempt.to_string());
    let mut response = request
        .config()
        .http_status_as_error(false)
        .build()
        .call()?;
    Ok((
        response.status().as_u16(),
        response.body_mut().read_to_vec()?,
    ))
}

fn main() -> Result<(), Box<dyn Error>> {
    let target = Target::embedded(&ScenarioSource::Profile("bench"), None)?;
    let job = Job {
        max_workers: 5.try_into()?,
        ..Job::new(&target.base_url, POP20.to_vec())
    };
    let contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(Runner::from(Strategy::Sequential)),
        Box::new(Runner::from(Strategy::Threaded)),
        Box::new(Custom::new("chunks", |_| Ok(Chunks))),
    ];
    let race = Race::bench(contenders, job).rounds(Rounds::Exactly(5.try_into()?));
    let measurement = race.run_on(&target)?;
    let text = table::whole(&Report::of(measurement), None, false);
    anstream::stdout().write_all(text.as_bytes())?; // colours on a terminal only
    Ok(())
}

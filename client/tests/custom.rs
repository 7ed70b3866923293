//! A downloader of the user's own, through the public library alone.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flag_client::download::{
    AttemptError, Download, Downloader, Job, Outcome, RetryPolicy, Sample, SetupError, Watcher,
};
use flag_client::race::{Contender, Custom, Race, Rounds, Target};
use flag_client::result::Kind;
use flag_scenario::ScenarioSource;
use flags_data::{Catalogue, CountryCode};

fn code(text: &str) -> CountryCode {
    text.parse().unwrap()
}

fn brazil() -> Vec<u8> {
    let catalogue = Catalogue::embedded();
    catalogue.get(code("BR")).unwrap().image.bytes.to_vec()
}

#[test]
fn the_samples_of_ones_own_get_are_made_as_all_others() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let watched = Arc::clone(&told);
    let job = Job {
        retry: RetryPolicy {
            retries: 3,
            ..RetryPolicy::default()
        },
        watcher: Watcher::new(move |sample| watched.lock().unwrap().push(sample.attempt)),
        ..Job::new("http://example.org/flags", vec![code("BR")])
    };
    let round = Instant::now();
    let samples = Download::new(round, code("BR"), 7).record(&job, |url, attempt| {
        assert_eq!(url, "http://example.org/flags/br/br.gif");
        match attempt {
            1 => Err(AttemptError::no_connection("no luck")),
            2 => Ok((503, b"busy".to_vec())),
            3 => Ok((200, b"GIF89a".to_vec())),
            _ => Ok((200, brazil())),
        }
    });
    let seen: Vec<_> = samples
        .iter()
        .map(|sample| {
            (
                sample.attempt,
                sample.outcome,
                sample.status,
                sample.is_last(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, Outcome::NoConnection, None, false),
            (2, Outcome::HttpError, Some(503), false),
            (3, Outcome::WrongBody, Some(200), false),
            (4, Outcome::Downloaded, Some(200), true),
        ]
    );
    assert_eq!(*told.lock().unwrap(), [1, 2, 3, 4]);
    assert!(samples.iter().all(|sample| sample.worker == 7));
    assert_eq!(samples[0].error.as_deref(), Some("no luck"));
    let between = samples.windows(2).all(|pair| pair[0].done <= pair[1].sent);
    assert!(between && samples[3].done <= round.elapsed());
}

#[test]
fn what_does_not_exist_is_no_error_and_not_tried_again() {
    let job = Job {
        retry: RetryPolicy {
            retries: 3,
            ..RetryPolicy::default()
        },
        ..Job::new("", vec![code("XX")])
    };
    let missing = |_: &str, _| Ok((404, "not found"));
    let samples = Download::new(Instant::now(), code("XX"), 0).record(&job, missing);
    assert_eq!(samples.len(), 1);
    assert_eq!(
        (samples[0].outcome, samples[0].bytes),
        (Outcome::NotFound, 9)
    );
}

/// It says that it has done what it was asked for.
struct Liar;

impl Downloader for Liar {
    fn download_many(&self, job: &Job) -> Vec<Sample> {
        let round = Instant::now();
        let one = |&code| Download::new(round, code, 0).record(job, |_, _| Ok((200, brazil())));
        job.codes.iter().flat_map(one).collect()
    }
}

#[test]
fn a_race_on_a_target_is_one_call_and_who_cannot_take_part_says_why() {
    let target = Target::embedded(&ScenarioSource::Profile("local"), None).unwrap();
    let job = Job::new(&target.base_url, vec![code("BR"), code("JP")]);
    let run = |contender: Box<dyn Contender>| {
        let rounds = Rounds::Exactly(2.try_into().unwrap());
        Race::bench(vec![contender], job.clone())
            .rounds(rounds)
            .run_on(&target)
    };
    let measurement = run(Box::new(Custom::new("liar", |_| Ok(Liar)))).unwrap();
    assert_eq!(measurement.kind, Kind::Bench);
    let series = &measurement.series[0];
    assert_eq!((series.name.as_str(), series.rounds.len()), ("liar", 2));
    assert_eq!(series.errors(), 2, "Japan's flag is another");
    assert!(series.times().into_iter().all(|time| time > Duration::ZERO));

    let unable = Custom::new("unable", |_| -> Result<Liar, _> {
        Err(SetupError::Other("no floppy disk; insert one".to_owned()))
    });
    let error = run(Box::new(unable)).unwrap_err();
    assert_eq!(error.to_string(), "no floppy disk; insert one");
}

/// Tasks, with reqwest, and a time limit of its own.
struct Tasks(tokio::runtime::Runtime);

impl Tasks {
    fn new() -> Result<Self, SetupError> {
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .map(Self)
            .map_err(|error| SetupError::Other(error.to_string()))
    }
}

impl Downloader for Tasks {
    fn download_many(&self, job: &Job) -> Vec<Sample> {
        let round = Instant::now();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(job.timeout)
            .build()
            .unwrap();
        self.0.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for (worker, &code) in job.codes.iter().enumerate() {
                let (job, client) = (job.clone(), client.clone());
                tasks.spawn(async move {
                    let get = |url, attempt| get(client.clone(), url, attempt);
                    Download::new(round, code, worker)
                        .record_async(&job, get)
                        .await
                });
            }
            tasks.join_all().await.concat()
        })
    }
}

async fn get(
    client: reqwest::Client,
    url: String,
    attempt: u32,
) -> Result<(u16, bytes::Bytes), AttemptError> {
    let response = client
        .get(url)
        .header("flag-attempt", attempt)
        .send()
        .await?;
    Ok((response.status().as_u16(), response.bytes().await?))
}

#[test]
fn an_async_downloader_retries_as_all_others_and_keeps_the_kind_of_error() {
    let toml = r#"rule = [
        { fault = "stall", match = { cc = ["BR"] } },
        { fault = "reset", attempts = { first = 1 }, match = { cc = ["JP"] } },
    ]"#;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    std::fs::write(&file, toml).unwrap();
    let target = Target::embedded(&ScenarioSource::File(&file), None).unwrap();
    let job = Job {
        timeout: Duration::from_millis(300),
        retry: RetryPolicy {
            retries: 1,
            ..RetryPolicy::default()
        },
        ..Job::new(&target.base_url, ["BR", "JP", "US"].map(code).to_vec())
    };
    let contender: Box<dyn Contender> = Box::new(Custom::new("tasks", |_| Tasks::new()));
    let race = Race::bench(vec![contender], job)
        .rounds(Rounds::Exactly(1.try_into().unwrap()))
        .warmup(0);
    let measurement = race.run_on(&target).unwrap();
    let outcomes = |text| -> Vec<Outcome> {
        let samples = measurement.series[0].samples();
        let samples = samples.filter(|sample| sample.code == code(text));
        samples.map(|sample| sample.outcome).collect()
    };
    assert_eq!(outcomes("BR"), [Outcome::Timeout; 2]);
    assert_eq!(
        outcomes("JP"),
        [Outcome::BrokenConnection, Outcome::Downloaded]
    );
    assert_eq!(outcomes("US"), [Outcome::Downloaded]);
}

//! A client that retries, and what the server saw of it, in one test.

use std::time::Duration;

use flag_server::scenario::Scenario;
use flag_server::{FlagServer, Record};

/// The code under test.
fn download(url: &str, attempts: u32, pause: Duration) -> Result<Vec<u8>, ureq::Error> {
    let mut attempt = 1;
    loop {
        match ureq::get(url).header("user-agent", "downloads/1").call() {
            Err(ureq::Error::StatusCode(503)) if attempt < attempts => attempt += 1,
            answer => return answer?.body_mut().read_to_vec(),
        }
        std::thread::sleep(pause);
    }
}

fn statuses(records: &[Record]) -> Vec<Option<u16>> {
    records.iter().map(|record| record.sent.status).collect()
}

#[test]
fn a_download_survives_two_failures_and_gives_up_after_its_last_attempt() {
    // One server for many tests; each has a run on it, with a scenario and records of its own.
    let server = FlagServer::builder()
        .start_blocking() // or `.start().await`, in a test that has a runtime
        .expect("a free port");
    let retry = Scenario::from_toml(include_str!("../retry.toml")).expect("a scenario");
    let minute = Duration::from_secs(60);
    for run in ["patient", "hasty"] {
        server
            .set_run_scenario(run, &retry, minute)
            .expect("room for it");
    }
    let root = &server.endpoints()[0].url;
    let brazil = |run: &str| format!("{root}/run/{run}/flags/br/br.gif");
    let pause = Duration::from_millis(100);

    let image = download(&brazil("patient"), 3, pause).expect("the third attempt goes well");
    assert!(image.starts_with(b"GIF89a"));
    let records = server.wait_for_records("patient", 3, minute);
    assert_eq!(statuses(&records), [Some(503), Some(503), Some(200)]);
    for record in &records {
        assert_eq!(
            record.request.headers.get("user-agent"),
            Some("downloads/1")
        );
    }
    for pair in records.windows(2) {
        assert!(pair[1].times.received - pair[0].times.received >= pause);
    }

    let error = download(&brazil("hasty"), 2, pause).expect_err("two attempts are too few");
    assert!(matches!(error, ureq::Error::StatusCode(503)));
    let records = server.wait_for_records("hasty", 2, minute);
    assert_eq!(statuses(&records), [Some(503), Some(503)]);
}

//! A client that retries, and a server that fails twice, in one test.

use std::time::Duration;

use flag_server::{BlockingFlagServer, FlagServer};

/// The code under test.
fn download(url: &str, run: &str, attempts: u32) -> Result<Vec<u8>, ureq::Error> {
    let mut attempt = 1;
    loop {
        match ureq::get(url).header("flag-run", run).call() {
            Err(ureq::Error::StatusCode(503)) if attempt < attempts => attempt += 1,
            answer => return answer?.body_mut().read_to_vec(),
        }
    }
}

/// What the server sent in this run: the number of each attempt and its status.
fn sent(server: &BlockingFlagServer, run: &str, count: usize) -> Vec<(u32, Option<u16>)> {
    let records = server.wait_for_records(run, count, Duration::from_secs(5));
    let sent = records
        .iter()
        .map(|record| (record.attempt, record.sent.status));
    sent.collect()
}

#[test]
fn a_download_survives_two_failures_and_gives_up_after_its_last_attempt() {
    let server = FlagServer::builder()
        .toml(include_str!("../retry.toml"))
        .expect("a scenario")
        .start_blocking() // or `.start().await`, in a test that has a runtime
        .expect("a free port");
    let brazil = format!("{}/br/br.gif", server.flags_url());

    let image = download(&brazil, "patient", 3).expect("the third attempt goes well");
    assert!(image.starts_with(b"GIF89a"));
    let good = [(1, Some(503)), (2, Some(503)), (3, Some(200))];
    assert_eq!(sent(&server, "patient", 3), good);

    // The same flag in another run: its attempts are counted from 1 again.
    let error = download(&brazil, "hasty", 2).expect_err("two attempts are too few");
    assert!(matches!(error, ureq::Error::StatusCode(503)));
    assert_eq!(sent(&server, "hasty", 2), good[..2]);
}

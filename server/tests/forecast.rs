//! Every number of a forecast, compared with a real server whose time is stopped and advanced by
//! hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU32;
use std::thread;
use std::time::{Duration, Instant};

use flag_host::clock::pause;
use flag_scenario::forecast::{Forecast, Question};
use flag_scenario::profiles::Profile;
use flag_scenario::{ClientHeaders, Scenario};
use flag_server::BlockingFlagServer;
use flag_server::{Config, FlagServer};
use flags_data::CountryCode;

fn codes(list: &[&str]) -> Vec<CountryCode> {
    list.iter().map(|code| code.parse().unwrap()).collect()
}

fn forecast(scenario: &Scenario, codes: &[CountryCode]) -> Forecast {
    Forecast::new(&Question {
        scenario,
        name: "test",
        codes,
        attempts: NonZeroU32::MIN,
        run: "",
        client: &ClientHeaders::none(),
        metadata: true,
    })
}

/// How often a connection that is about to break checks whether the kernel has sent everything,
/// which no forecast knows.
const DRAIN_INTERVAL: Duration = Duration::from_millis(1);

/// Reads until the response is complete or broken.
fn read(authority: &str, path: &str) {
    let mut stream = TcpStream::connect(authority).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    // A reset is one of the endings, and an error here.
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        if is_complete(&received) {
            break;
        }
    }
}

/// Whether the body has its full length.
fn is_complete(received: &[u8]) -> bool {
    let text = String::from_utf8_lossy(received);
    let Some((head, _)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| received.len() >= head.len() + 4 + length.parse::<usize>().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forecast_bytes_are_sent() {
    let time = pause();
    let scenario = Profile::find("flaky").unwrap().scenario().unwrap();
    let every = codes(&[
        "BR", "JP", "XX", "CN", "MX", "EG", "NG", "PH", "BD", "IN", "TR",
    ]);
    let forecast = forecast(&scenario, &every);
    let server = FlagServer::builder()
        .scenario(scenario)
        .start()
        .await
        .unwrap();
    let authority = server.endpoints()[0]
        .url
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let requests: Vec<_> = forecast
        .entries
        .iter()
        .map(|entry| {
            let (authority, path) = (authority.clone(), entry.path.clone());
            tokio::task::spawn_blocking(move || read(&authority, &path))
        })
        .collect();
    while !requests.iter().all(tokio::task::JoinHandle::is_finished) {
        if let Some(next) = time.waits().first() {
            time.advance(*next);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for request in requests {
        request.await.unwrap();
    }
    // A client may have the whole response before the server has recorded its end.
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut records = server.records("");
    while records.len() < forecast.entries.len() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
        records = server.records("");
    }
    for entry in &forecast.entries {
        // Without following a redirect there is no body.
        let is_redirect = matches!(
            entry.plan.ending,
            Some(flag_scenario::Ending::Redirect { .. })
        );
        let record = records
            .iter()
            .find(|record| record.path == entry.path)
            .unwrap();
        assert_eq!(record.plan, entry.plan);
        let bytes = if is_redirect { 0 } else { entry.bytes };
        assert_eq!(record.sent.bytes, bytes, "{entry:?}");
    }
}

#[test]
fn every_response_ends_exactly_as_forecast() {
    let time = pause();
    let kinds = [
        "{ fault = \"latency\", distribution = { fixed = \"60ms\" } }",
        "{ fault = \"bandwidth\", rate = \"20kB\" }, { fault = \"truncate\", after = \"1500B\" }",
        "{ fault = \"bandwidth\", rate = \"500B\" }, { fault = \"status\", status = 503 }",
        "{ fault = \"dribble\", chunks = 4, over = \"90ms\" }, { fault = \"bandwidth\", rate = \"10kB\" }",
        "{ fault = \"dribble\", chunks = 4, over = \"90ms\" }, { fault = \"truncate\", fraction = 0.6 }",
        "{ fault = \"stall\", after = \"100B\", hold = \"80ms\" }",
        "{ fault = \"stall\", after = \"100kB\", hold = \"1h\" }",
        "{ fault = \"reset\", after = \"100kB\" }, { fault = \"bandwidth\", rate = \"30kB\" }",
    ];
    for rules in kinds {
        let scenario = Scenario::from_toml(&format!("rule = [{rules}]")).unwrap();
        let forecast = forecast(&scenario, &codes(&["JP"]));
        let server = BlockingFlagServer::start(&Config::embedded("test", scenario)).unwrap();
        let authority = server.endpoints()[0].url.strip_prefix("http://").unwrap();
        for entry in &forecast.entries {
            let mut waited = Duration::ZERO;
            thread::scope(|scope| {
                let reading = scope.spawn(|| read(authority, &entry.path));
                while !reading.is_finished() {
                    if let Some(next) = time.waits().first() {
                        time.advance(*next);
                        waited += Some(*next)
                            .filter(|next| *next != DRAIN_INTERVAL)
                            .unwrap_or_default();
                    }
                    thread::yield_now();
                }
            });
            assert_eq!(waited, entry.time.unwrap(), "{rules}: {}", entry.path);
        }
    }
}

//! A server with the fast path and one without it give the same bytes the same answers, connection
//! end and records.
//!
//! The first byte of an input chooses the scenario. The second is the number of cuts, of which each
//! takes two bytes; the rest is what the client sends, in the pieces that the cuts make.
#![no_main]

use std::cell::OnceCell;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use flag_server::scenario::Scenario;
use flag_server::{FlagServer, Record};
use flags_data::Catalogue;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

const SCENARIOS: [&str; 8] = [
    "",
    r#"
    [[rule]]
    name = "delay"
    fault = "latency"
    distribution = { uniform = { lower = "0ms", upper = "2ms" } }
    [[rule]]
    name = "coin"
    fault = "status"
    status = 503
    retry_after = "1s"
    probability = 0.5
    "#,
    r#"rule = [{ fault = "bandwidth", rate = "1MiB" }, { fault = "truncate", after = "40B" }]"#,
    r#"rule = [{ fault = "reset", after = "30B" }]"#,
    r#"rule = [{ fault = "redirect", hops = 1 }]"#,
    r#"rule = [{ fault = "corrupt", bits = 3 }]"#,
    r#"rule = [{ fault = "stall", after = "20B", hold = "5ms" }]"#,
    r#"rule = [{ fault = "MALFORMED_RESPONSE_CHUNK" }]"#,
];

/// Lets a server end the connection: most inputs end with a request that keeps it open.
const LAST: &[u8] = b"\r\n\r\nGET /flags/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// How long a silent connection is waited for before the client ends it. Only requests whose
/// announced body swallows `LAST` come to this, and they are hyper's in both servers.
const PATIENCE: Duration = Duration::from_millis(60);

/// How long the last record is waited for. Not reached unless there is a difference.
const RECORDS_PATIENCE: Duration = Duration::from_secs(2);

/// How often the servers get their turn after each piece. All of it happens on one thread, so that
/// a piece is read, and answered unless there is a delay, before the next one is sent.
const TURNS: usize = 12;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fin,
    Rst,
    /// The client ended it.
    Own,
}

thread_local! {
    static SETUP: OnceCell<(Runtime, Catalogue, Vec<Scenario>)> = const { OnceCell::new() };
}

fuzz_target!(|input: &[u8]| {
    let [scenario, cuts, rest @ ..] = input else {
        return;
    };
    let (cuts, said) = rest.split_at(rest.len().min(usize::from(*cuts % 6) * 2));
    let pieces = cut(cuts, said);
    let runs = runs(said);
    SETUP.with(|setup| {
        let (runtime, catalogue, scenarios) = setup.get_or_init(set_up);
        let scenario = &scenarios[usize::from(*scenario) % scenarios.len()];
        let server = || {
            FlagServer::builder()
                .scenario(scenario.clone())
                .catalogue(catalogue.clone())
        };
        runtime.block_on(async {
            let fast = server().start().await.unwrap();
            let slow = server().without_fast_path().start().await.unwrap();
            let (one, other) = tokio::join!(talk(&fast, &pieces), talk(&slow, &pieces));
            assert_eq!((one.0, text(&one.1)), (other.0, text(&other.1)));
            compare_records(&fast, &slow, &runs).await;
        });
    });
});

fn set_up() -> (Runtime, Catalogue, Vec<Scenario>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // Of two flags: a server of all of them takes longer to start than the input to be answered.
    let dir = std::env::temp_dir().join(format!("flagbench-encoders-{}", std::process::id()));
    for code in ["br", "jp"] {
        let flag = dir.join(code);
        std::fs::create_dir_all(&flag).unwrap();
        std::fs::write(
            flag.join(format!("{code}.gif")),
            [b"GIF89a".as_slice(), &[b'.'; 100]].concat(),
        )
        .unwrap();
        let metadata = format!(
            r#"{{"country": "x", "iso_cc": "{}", "tld_cc": ".{code}"}}"#,
            code.to_uppercase()
        );
        std::fs::write(flag.join("metadata.json"), metadata).unwrap();
    }
    let catalogue = Catalogue::load(&dir).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    let scenarios =
        SCENARIOS.map(|text| Scenario::from_toml(text).unwrap_or_else(|error| panic!("{error}")));
    (runtime, catalogue, scenarios.into())
}

/// What is said, in pieces.
fn cut<'a>(cuts: &[u8], said: &'a [u8]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts
        .chunks_exact(2)
        .map(|cut| usize::from(u16::from_be_bytes([cut[0], cut[1]])) % (said.len() + 1))
        .collect();
    ends.extend([0, said.len()]);
    ends.sort_unstable();
    ends.dedup();
    ends.windows(2)
        .map(|ends| &said[ends[0]..ends[1]])
        .collect()
}

/// Every run that the input may name.
fn runs(said: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(said);
    let values = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("flag-run")
            .then(|| value.trim().to_owned())
    });
    std::iter::once(String::new()).chain(values).collect()
}

/// Sends the pieces, and returns how the connection ended and what came.
async fn talk(server: &FlagServer, pieces: &[&[u8]]) -> (End, Vec<u8>) {
    let url = &server.endpoints()[0].url;
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    stream.set_nodelay(true).unwrap();
    let mut came = Vec::new();
    for piece in pieces.iter().copied().chain([LAST]) {
        // A server that has broken the connection is known to have by what is read from it.
        drop(stream.write_all(piece).await);
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
        loop {
            let mut buffer = [0; 4096];
            match stream.try_read(&mut buffer) {
                Ok(0) => return (End::Fin, came),
                Ok(length) => came.extend(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return (End::Rst, came),
            }
        }
    }
    let mut is_own = false;
    loop {
        match tokio::time::timeout(PATIENCE, stream.read_buf(&mut came)).await {
            Ok(Ok(0)) if is_own => return (End::Own, came),
            Ok(Ok(0)) => return (End::Fin, came),
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return (End::Rst, came),
            Err(_) if is_own => panic!("the server does not notice that its client has left"),
            Err(_) => {
                is_own = true;
                drop(stream.shutdown().await);
            }
        }
    }
}

/// What came, without what differs from one moment to the next.
fn text(came: &[u8]) -> String {
    let text: String = came.iter().map(|&byte| char::from(byte)).collect();
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    for line in &mut lines {
        if line.starts_with("date: ") {
            *line = "date: …";
        } else if line.starts_with("server-timing: ") {
            *line = line.split(", wait;").next().unwrap_or(line);
        }
    }
    lines.join("\r\n")
}

/// Both have the same records, apart from what the clock says.
async fn compare_records(fast: &FlagServer, slow: &FlagServer, runs: &[String]) {
    let start = Instant::now();
    loop {
        let of = |server: &FlagServer| -> Vec<(String, bool)> {
            runs.iter()
                .flat_map(|run| server.records(run))
                .map(timeless)
                .collect()
        };
        let (one, other) = (of(fast), of(slow));
        // A record is written when its response is over, which the client may know first.
        if one == other && fast.received() == slow.received() {
            return;
        }
        if start.elapsed() > RECORDS_PATIENCE {
            assert_eq!(one, other);
            assert_eq!(fast.received(), slow.received());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn timeless(record: Record) -> (String, bool) {
    let Record {
        run,
        method,
        path,
        attempt,
        hop,
        plan,
        sent,
        late_ms,
        ..
    } = record;
    (
        format!("{run:?} {method} {path} {attempt} {hop} {plan:?} {sent:?}"),
        late_ms.is_some(),
    )
}

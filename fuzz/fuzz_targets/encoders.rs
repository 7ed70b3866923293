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

/// How long the client waits for what the servers do.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// After each piece. All of it happens on one thread, and the servers get their turn first: a
    /// piece is read, and answered unless there is a delay, before the next one is sent.
    piece: Duration,
    /// For a silent connection, before the client ends it. Only requests whose announced body
    /// swallows `LAST` come to this, and they are hyper's in both servers.
    silence: Duration,
    /// For the last record. Not reached unless there is a difference.
    records: Duration,
}

/// Enough nearly always, and longer than any delay of `SCENARIOS`.
const QUICK: Patience = Patience {
    piece: Duration::ZERO,
    silence: Duration::from_millis(8),
    records: Duration::from_millis(50),
};

/// Enough on any machine: a difference is one only if it is found with this, too.
const PATIENT: Patience = Patience {
    piece: Duration::from_millis(50),
    silence: Duration::from_secs(1),
    records: Duration::from_secs(5),
};

/// How often the servers get their turn before time passes.
const TURNS: usize = 12;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Fin,
    Rst,
    /// The client ended it.
    Own,
    /// The server did not end it after the client's FIN either.
    Never,
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
        let server = || {
            let scenario = &scenarios[usize::from(*scenario) % scenarios.len()];
            let server = FlagServer::builder().catalogue(catalogue.clone());
            server.scenario(scenario.clone())
        };
        let met = |patience| {
            runtime.block_on(async {
                let fast = server().start().await.unwrap();
                let slow = server().without_fast_path().start().await.unwrap();
                let (one, other) = tokio::join!(
                    talk(&fast, &pieces, patience),
                    talk(&slow, &pieces, patience)
                );
                let (its, others) = records(&fast, &slow, &runs, patience).await;
                ((one, its), (other, others))
            })
        };
        let (fast, slow) = met(QUICK);
        if fast != slow || fast.0.0 == End::Never {
            let (fast, slow) = met(PATIENT);
            assert_eq!(fast, slow);
            assert_ne!(fast.0.0, End::Never);
        }
    });
});

fn set_up() -> (Runtime, Catalogue, Vec<Scenario>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // Rust's own `main` ignores this signal, and libFuzzer's does not: a write to a connection that
    // is closed would end the process.
    #[cfg(unix)]
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        drop(signal(SignalKind::pipe()).unwrap()); // what it has installed stays
    });
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
async fn talk(server: &FlagServer, pieces: &[&[u8]], patience: Patience) -> (End, String) {
    let mut came = Vec::new();
    let end = exchange(server, pieces, patience, &mut came).await;
    (end, text(&came))
}

async fn exchange(
    server: &FlagServer,
    pieces: &[&[u8]],
    patience: Patience,
    came: &mut Vec<u8>,
) -> End {
    let url = &server.endpoints()[0].url;
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap())
        .await
        .unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces.iter().copied().chain([LAST]) {
        // A server that has broken the connection is known to have by what is read from it.
        drop(stream.write_all(piece).await);
        take_turns().await;
        if !patience.piece.is_zero() {
            tokio::time::sleep(patience.piece).await;
        }
        loop {
            let mut buffer = [0; 4096];
            match stream.try_read(&mut buffer) {
                Ok(0) => return End::Fin,
                Ok(length) => came.extend(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return End::Rst,
            }
        }
    }
    let mut is_own = false;
    loop {
        match tokio::time::timeout(patience.silence, stream.read_buf(came)).await {
            Ok(Ok(0)) if is_own => return End::Own,
            Ok(Ok(0)) => return End::Fin,
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return End::Rst,
            Err(_) if is_own => return End::Never,
            Err(_) => {
                is_own = true;
                drop(stream.shutdown().await);
            }
        }
    }
}

async fn take_turns() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
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

/// What was recorded, apart from what the clock says.
#[derive(Debug, PartialEq, Eq)]
struct Recorded {
    received: u64,
    records: Vec<(String, bool)>,
}

impl Recorded {
    fn by(server: &FlagServer, runs: &[String]) -> Self {
        let records = runs.iter().flat_map(|run| server.records(run));
        Self {
            received: server.received(),
            records: records.map(timeless).collect(),
        }
    }
}

/// What both have recorded: a record is written when its response is over, which the client may
/// know first.
async fn records(
    fast: &FlagServer,
    slow: &FlagServer,
    runs: &[String],
    patience: Patience,
) -> (Recorded, Recorded) {
    let start = Instant::now();
    loop {
        take_turns().await;
        let recorded = (Recorded::by(fast, runs), Recorded::by(slow, runs));
        if recorded.0 == recorded.1 || start.elapsed() > patience.records {
            return recorded;
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

//! Ten thousand requests with every fault at once: none is lost, and no resource leaks.
//!
//! A separate test program, because it counts the file descriptors of its process.

mod support;

use std::time::Duration;

use flag_scenario::Ending;
use flag_server::{End, Record};
use flags_data::Catalogue;
use support::{SAFETY, authority, request, rules};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const FLAKY: &str = r#"
rule = [
    { fault = "latency", probability = 0.5, distribution = { uniform = { lower = "0ms", upper = "5ms" } } },
    { fault = "bandwidth", probability = 0.05, rate = "1MB" },
    { fault = "dribble", probability = 0.05, chunks = 4, over = "6ms" },
    { fault = "status", probability = 0.1, one_of = [{ status = 503 }, { status = 204 }] },
    { fault = "redirect", probability = 0.05 },
    { fault = "corrupt", probability = 0.05 },
    { name = "reset", fault = "reset", probability = 0.05 },
    { name = "reset-later", fault = "reset", after = "1000B", probability = 0.05 },
    { name = "reset-at-the-end", fault = "reset", after = "1MB", probability = 0.05 },
    { fault = "close", probability = 0.05 },
    { fault = "truncate", fraction = 0.5, probability = 0.05 },
    { name = "stall", fault = "stall", hold = "5ms", probability = 0.05 },
    { name = "stall-later", fault = "stall", after = "100B", hold = "5ms", probability = 0.05 },
    { fault = "garbage", probability = 0.05 },
    { name = "malformed", fault = "MALFORMED_RESPONSE_CHUNK", probability = 0.05 },
]
"#;

const CLIENTS: usize = 500;
const REQUESTS_EACH: usize = 20;

/// One request. `None` when the connection is over.
async fn exchange(mut stream: TcpStream, request: &str) -> Option<TcpStream> {
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut raw = Vec::new();
    loop {
        let head = raw.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&raw[..head]);
            let length = text.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            // Only a 204 has no length and ends with its head.
            let length = length.unwrap_or(if text.contains(" 204 ") {
                0
            } else {
                usize::MAX
            });
            // The connection may break after a complete body: this client waits for that.
            let plan = text.split("flag-plan: ").nth(1).unwrap_or_default();
            let breaks = plan.contains("reset") || plan.contains("stall");
            if raw.len() - head - 4 == length && !breaks {
                return Some(stream);
            }
        }
        if stream.read_buf(&mut raw).await.ok()? == 0 {
            return None;
        }
    }
}

/// Whether the request ended as planned.
fn ended_as_planned(record: &Record) -> bool {
    let Some(ending) = &record.plan.ending else {
        return record.sent.end == End::Whole;
    };
    let end = match ending {
        Ending::Status { .. } | Ending::Redirect { .. } | Ending::Corrupt { .. } => End::Whole,
        Ending::Reset { .. } => End::Reset,
        Ending::Close | Ending::Truncate(_) | Ending::Stall { .. } => End::Closed,
        Ending::Garbage { .. } => End::Garbage,
    };
    record.sent.end == end
}

#[cfg(target_os = "linux")]
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[cfg(not(target_os = "linux"))]
fn open_files() -> usize {
    0
}

#[test]
fn ten_thousand_flaky_requests_are_all_recorded_and_leak_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let codes: Vec<String> = Catalogue::embedded()
        .codes()
        .map(|code| code.to_lowercase().to_string())
        .collect();
    let wanted = 2 * CLIENTS as u64 + 200;
    assert!(rlimit::increase_nofile_limit(wanted).unwrap() >= wanted);
    runtime.block_on(async {
        let server = rules(FLAKY).start().await.unwrap();
        let authority = authority(server.endpoints());
        let metrics = tokio::runtime::Handle::current().metrics();
        let idle = (metrics.num_alive_tasks(), open_files());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (authority, codes) = (authority.clone(), codes.clone());
                tokio::spawn(async move {
                    let mut kept = None;
                    for turn in 0..REQUESTS_EACH {
                        let stream = match kept.take() {
                            Some(stream) => stream,
                            None => TcpStream::connect(&authority).await.unwrap(),
                        };
                        let cc = &codes[(client * REQUESTS_EACH + turn) % codes.len()];
                        let request = request("GET", &format!("/flags/{cc}/{cc}.gif"), &[]);
                        kept = exchange(stream, &request).await;
                    }
                })
            })
            .collect();
        for client in clients {
            tokio::time::timeout(SAFETY, client).await.unwrap().unwrap();
        }
        let settled = async {
            while (metrics.num_alive_tasks(), open_files()) > idle {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SAFETY, settled).await.unwrap();

        let records = server.records("");
        let total = CLIENTS * REQUESTS_EACH;
        assert_eq!((server.received(), records.len()), (total as u64, total));
        let wrong: Vec<_> = records.iter().filter(|r| !ended_as_planned(r)).collect();
        assert!(wrong.is_empty(), "{} such as {:?}", wrong.len(), wrong[0]);
        assert_eq!(server.shutdown().await.cut_off, 0);
    });
}
